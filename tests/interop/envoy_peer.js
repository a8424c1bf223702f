/*
 * What an Envoy does before it takes connections, without the Envoy: asks an ADS server for all clusters and listeners, for the
 * endpoints and routes that these name, acknowledges all, and refuses what it would refuse. Messages, field numbers and the
 * rules for each field (protoc-gen-validate) are those of Envoy's own .proto files, as @grpc/grpc-js-xds brings them.
 *
 * Does what lines on the standard input say, and says lines of JSON that begin with the KEY:
 *   ask KEY delta|sotw HOST:PORT FOLDER NODE-ID   FOLDER: roots.pem, chain.pem, key.pem. After each response what it has, and its end
 *   close KEY
 *   bootstrap KEY FILE                            is this JSON a bootstrap that Envoy takes?
 */
"use strict";
const fs = require("fs");
const path = require("path");
const readline = require("readline");
const grpc = require("@grpc/grpc-js");
const protobuf = require("protobufjs");

const packages = path.dirname(require.resolve("@grpc/grpc-js-xds/package.json"));
const places = ["envoy-api", "xds", "googleapis", "protoc-gen-validate"].map((name) => path.join(packages, "deps", name));
const root = new protobuf.Root();
root.resolvePath = (_, name) => path.isAbsolute(name) || name in protobuf.common ? name
    : places.map((place) => path.join(place, name)).find(fs.existsSync) || path.join(path.dirname(require.resolve("protobufjs/package.json")), name);
root.loadSync(["service/discovery/v3/discovery", "config/bootstrap/v3/bootstrap", "config/listener/v3/listener", "config/route/v3/route",
    "config/cluster/v3/cluster", "config/endpoint/v3/endpoint", "extensions/upstreams/http/v3/http_protocol_options",
    "extensions/filters/network/http_connection_manager/v3/http_connection_manager", "extensions/filters/network/tcp_proxy/v3/tcp_proxy",
    "extensions/filters/listener/original_dst/v3/original_dst", "extensions/filters/http/router/v3/router",
    "extensions/filters/http/fault/v3/fault", "extensions/filters/http/cors/v3/cors", "extensions/transport_sockets/tls/v3/tls",
    "extensions/retry/host/previous_hosts/v3/previous_hosts",
].map((name) => `envoy/${name}.proto`), { keepCase: true });
root.resolveAll();

const V3 = 2, KINDS = { cluster: "config.cluster.v3.Cluster", endpoints: "config.endpoint.v3.ClusterLoadAssignment",
    listener: "config.listener.v3.Listener", routes: "config.route.v3.RouteConfiguration" };
const urlOf = (kind) => `type.googleapis.com/envoy.${KINDS[kind]}`;
const kindOf = (url) => Object.keys(KINDS).find((kind) => urlOf(kind) === url);
let wrong = [];

/* ---- Messages against their rules ------------------------------------------------------------------------------------- */

function merge(into, from) {
    for (const [key, value] of Object.entries(from))
        into[key] = value && typeof value === "object" && !Array.isArray(value) ? merge(into[key] || {}, value) : value;
    return into;
}

function rulesOf(field) {
    return (field.parsedOptions || []).reduce((all, option) => "(validate.rules)" in option
        ? merge(all, option["(validate.rules)"]) : all, {});
}

const seconds = (duration) => Number(duration.seconds || 0) + Number(duration.nanos || 0) / 1e9;
const same = (a, b) => a === b || Number(a) === Number(b);
const numbers = {
    const: (v, r) => same(v, r), lt: (v, r) => v < Number(r), lte: (v, r) => v <= Number(r), gt: (v, r) => v > Number(r),
    gte: (v, r) => v >= Number(r), in: (v, r) => [].concat(r).some((one) => same(one, v)),
    not_in: (v, r) => ![].concat(r).some((one) => same(one, v)), ignore_empty: () => true,
};
const texts = {
    min_len: (v, r) => [...v].length >= r, min_bytes: (v, r) => Buffer.byteLength(v) >= r, max_bytes: (v, r) => Buffer.byteLength(v) <= r,
    max_len: (v, r) => [...v].length <= r, len: (v, r) => [...v].length === r, prefix: (v, r) => v.startsWith(r), in: (v, r) => [].concat(r).includes(v),
    not_in: (v, r) => ![].concat(r).includes(v), ignore_empty: () => true, strict: () => true, uri_ref: () => true,
    pattern: (v, r) => new RegExp(r, "u").test(v),
    well_known_regex: (v, r, all) => !(all.strict === false ? /[\0\n\r]/ : /[\0-\x08\x0a-\x1f\x7f]/).test(v),
};
const kinds = {
    string: texts, bytes: { min_len: (v, r) => v.length >= r, max_len: (v, r) => v.length <= r },
    enum: { ...numbers, defined_only: () => true /* see checkValue() */ }, bool: { const: numbers.const },
    any: { required: () => true, in: (v, r) => [].concat(r).includes(v.type_url), not_in: (v, r) => ![].concat(r).includes(v.type_url) },
};

function checkRules(at, field, value) {
    const rules = rulesOf(field);
    for (const [kind, all] of Object.entries(rules)) {
        if (["message", "repeated", "map"].includes(kind))
            continue;
        const duration = kind === "duration";
        const wrapped = !duration && kind !== "any" && field.resolvedType && field.resolvedType.name.endsWith("Value");
        const checked = duration ? seconds(value) : wrapped ? value.value ?? 0 : value;
        const empty = checked === "" || checked === 0 || checked.length === 0;
        for (const [name, rule] of all.ignore_empty && empty ? [] : Object.entries(all)) {
            const test = duration && name === "required" ? () => true : (kinds[kind] || numbers)[name];
            if (!test)
                wrong.push(`${at}: a rule that this test does not know: ${kind}.${name}`);
            else if (!test(kinds[kind] && kind !== "enum" || duration ? checked : Number(checked),
                duration && typeof rule === "object" ? seconds(rule) : rule, all))
                wrong.push(`${at}: ${JSON.stringify(value)} is not ${kind}.${name} ${JSON.stringify(rule)}`);
        }
    }
    return rules;
}

function checkValue(at, field, value) {
    checkRules(at, field, value);
    if (field.resolvedType instanceof protobuf.Enum && !(value in field.resolvedType.valuesById))
        wrong.push(`${at}: ${value} is none of ${field.resolvedType.name}`);
    if (field.resolvedType instanceof protobuf.Type && !(rulesOf(field).message || {}).skip)
        check(at, field.resolvedType, value);
}

function checkAny(at, any) {
    const name = any.type_url.replace("type.googleapis.com/", "");
    try {
        any.decoded = decode(at, name, any.value);
    } catch (error) {
        wrong.push(`${at}: ${error.message}`);
    }
}

function check(at, type, message) {
    if (type.fullName === ".google.protobuf.Any")
        checkAny(at, message);
    for (const field of type.fieldsArray) {
        field.resolve();
        const here = `${at}.${field.name}`, rules = rulesOf(field), there = Object.prototype.hasOwnProperty.call(message, field.name);
        const value = message[field.name];
        if (field.map) {
            const size = there ? Object.keys(value).length : 0;
            if (rules.map && size < (rules.map.min_pairs || 0))
                wrong.push(`${here}: has too few`);
            for (const [key, one] of Object.entries(there ? value : {}))
                if (field.resolvedType instanceof protobuf.Type)
                    check(`${here}[${key}]`, field.resolvedType, one);
        } else if (field.repeated) {
            const n = there ? value.length : 0, { min_items: min = 0, max_items: max = Infinity, items = {} } = rules.repeated || {};
            if (n < min || n > max)
                wrong.push(`${here}: has ${n}, not ${min} to ${max}`);
            (value || []).forEach((one, i) => checkValue(`${here}[${i}]`,
                { resolvedType: field.resolvedType, parsedOptions: [{ "(validate.rules)": items }] }, one));
        } else if (there && value !== null) {
            checkValue(here, field, value);
        } else if (field.partOf) {
            continue; /* another one of them is there, or see below */
        } else if (Object.values(rules).some((rule) => rule && rule.required)) {
            wrong.push(`${here}: is missing`);
        } else if (!(field.resolvedType instanceof protobuf.Type)) {
            checkRules(here, field, field.typeDefault);
        }
    }
    for (const oneof of type.oneofsArray)
        if ((oneof.options || {})["(validate.required)"] && !oneof.fieldsArray.some((field) => message[field.name] !== undefined && message[field.name] !== null && Object.prototype.hasOwnProperty.call(message, field.name)))
            wrong.push(`${at}: has none of ${oneof.name}`);
}

/* Envoy refuses fields that it does not know. */
function decode(at, name, bytes) {
    const type = root.lookupType(name);
    const message = type.decode(bytes);
    const again = type.encode(message).finish();
    if (again.length !== bytes.length)
        wrong.push(`${at}: ${bytes.length - again.length} bytes of ${bytes.length} are fields that ${name} has not`);
    check(at, type, message);
    return message;
}

/* ---- What Envoy asks of them beside ------------------------------------------------------------------------------------ */

const text = (address) => `${address.socket_address.address}:${address.socket_address.port_value}`;

function isOfAds(at, source) {
    if (!source || !source.ads || source.resource_api_version !== V3)
        wrong.push(`${at}: must be by ADS, of version 3`);
}

function checkManager(at, manager, has) {
    const last = manager.http_filters[manager.http_filters.length - 1];
    if (!last || !last.typed_config.type_url.endsWith(".router.v3.Router") || last.is_optional)
        wrong.push(`${at}.http_filters: the router must be the last one`);
    if (manager.rds) {
        isOfAds(`${at}.rds`, manager.rds.config_source);
        if (!has.routes.has(manager.rds.route_config_name))
            wrong.push(`${at}.rds: there is no ${manager.rds.route_config_name}`);
    } else
        checkRoutes(`${at}.route_config`, manager.route_config, has);
}

function checkCluster(at, name, has) {
    if (!has.cluster.has(name))
        wrong.push(`${at}: there is no cluster ${name}`);
}

function checkRoutes(at, routes, has) {
    const domains = new Set();
    for (const host of routes.virtual_hosts) {
        for (const domain of host.domains)
            domains.has(domain) ? wrong.push(`${at}: ${domain} twice`) : domains.add(domain);
        for (const route of host.routes) {
            const { cluster, weighted_clusters: weighted } = route.route || {};
            for (const name of cluster ? [cluster] : weighted ? weighted.clusters.map((one) => one.name) : [])
                checkCluster(at, name, has);
        }
    }
}

function checkListener(at, listener, has, addresses) {
    for (const address of [listener.address, ...listener.additional_addresses.map((one) => one.address)])
        if (addresses.has(text(address)))
            wrong.push(`${at}: ${text(address)} is another listener's, too`);
        else
            addresses.add(text(address));
    const matches = new Set();
    for (const chain of listener.filter_chains) {
        const match = JSON.stringify(chain.filter_chain_match || {});
        matches.has(match) ? wrong.push(`${at}: two chains of ${match}`) : matches.add(match);
        const last = chain.filters[chain.filters.length - 1];
        if (!last || !last.typed_config || !last.typed_config.decoded)
            wrong.push(`${at}: a chain without a filter that ends it`);
        else if (last.typed_config.type_url.endsWith(".HttpConnectionManager"))
            checkManager(`${at}.${chain.name}`, last.typed_config.decoded, has);
        else
            checkCluster(`${at}.${chain.name}`, last.typed_config.decoded.cluster, has);
    }
}

function checkAll(has) {
    const addresses = new Set();
    for (const [name, cluster] of has.cluster) {
        if (cluster.type === 3 /* EDS */) {
            isOfAds(`${name}.eds_cluster_config`, cluster.eds_cluster_config.eds_config);
            if (!has.endpoints.has(cluster.eds_cluster_config.service_name || name))
                wrong.push(`${name}: has no endpoints`);
        }
        if ((cluster.type === 4 /* ORIGINAL_DST */) !== (cluster.lb_policy === 6 /* CLUSTER_PROVIDED */))
            wrong.push(`${name}: ORIGINAL_DST and CLUSTER_PROVIDED go together`);
    }
    for (const [name, listener] of has.listener)
        checkListener(name, listener, has, addresses);
    for (const [name, routes] of has.routes)
        checkRoutes(name, routes, has);
}

/* ---- As an ADS client -------------------------------------------------------------------------------------------------- */

const DISCOVERY = "envoy.service.discovery.v3.";
const nameOf = (kind, message) => kind === "endpoints" ? message.cluster_name : message.name;

function open(dialect, target, folder) {
    const read = (name) => fs.readFileSync(path.join(folder, name));
    const credentials = grpc.credentials.createSsl(read("roots.pem"), read("key.pem"), read("chain.pem"), { checkServerIdentity: () => undefined });
    const delta = dialect === "delta" ? "Delta" : "";
    const [request, response] = [root.lookupType(`${DISCOVERY}${delta}DiscoveryRequest`), root.lookupType(`${DISCOVERY}${delta}DiscoveryResponse`)];
    const client = new grpc.Client(target, credentials);
    return client.makeBidiStreamRequest(`/${DISCOVERY}AggregatedDiscoveryService/${delta || "Stream"}AggregatedResources`,
        (message) => Buffer.from(request.encode(request.create(message)).finish()), (bytes) => response.decode(bytes));
}

function take(has, dialect, kind, response) {
    const delta = dialect === "delta";
    if (!delta && (kind === "listener" || kind === "cluster"))
        has[kind].clear(); /* each response is all there is */
    for (const resource of response.resources) {
        const any = delta ? resource.resource : resource;
        const message = decode(kind, any.type_url.replace("type.googleapis.com/", ""), any.value);
        has[kind].set(delta ? resource.name : nameOf(kind, message), message);
    }
    for (const name of delta ? response.removed_resources : [])
        has[kind].delete(name);
}

/* Of these names a client asks as soon as it has heard of them. */
function named(has) {
    const managers = [...has.listener.values()].flatMap((listener) => listener.filter_chains.map((chain) => chain.filters[0].typed_config.decoded));
    return { endpoints: [...has.cluster.values()].filter((one) => one.type === 3).map((one) => one.eds_cluster_config.service_name || one.name),
        routes: managers.filter((one) => one && one.rds).map((one) => one.rds.route_config_name) };
}

/* With what is in each Any. */
function plain(value) {
    if (value instanceof Uint8Array)
        return undefined;
    if (Array.isArray(value))
        return value.map(plain);
    if (!value || typeof value !== "object")
        return value;
    return value.constructor.name === "Long" ? Number(value) : Object.fromEntries(Object.entries(value).map(([key, one]) => [key, plain(one)]));
}

const calls = new Map();
const tell = (key, what) => console.log(`${key} ${JSON.stringify(what)}`);

function ask(key, dialect, target, folder, id) {
    const call = open(dialect, target, folder), delta = dialect === "delta";
    const has = { cluster: new Map(), endpoints: new Map(), listener: new Map(), routes: new Map() };
    const asked = { endpoints: new Set(), routes: new Set() };
    const node = { id, cluster: "test", user_agent_name: "envoy", locality: { region: "", zone: "" } };
    const say = (kind, more) => call.write({ type_url: urlOf(kind), ...more });
    function askFor(kind, names, nonce, version) {
        const now = new Set(names), news = [...now].filter((name) => !asked[kind].has(name)), gone = [...asked[kind]].filter((name) => !now.has(name));
        asked[kind] = now;
        gone.forEach((name) => has[kind].delete(name));
        if (delta && (nonce || news.length || gone.length))
            say(kind, { resource_names_subscribe: news, resource_names_unsubscribe: gone, response_nonce: nonce || "" });
        else if (!delta && (nonce || news.length || gone.length) && (now.size || nonce))
            say(kind, { resource_names: [...now], response_nonce: nonce || last[kind] || "", version_info: version || "" });
    }
    const last = {};
    call.on("data", (response) => {
        const kind = kindOf(response.type_url);
        wrong = [];
        take(has, dialect, kind, response);
        const refused = wrong.length ? { error_detail: { code: 3, message: wrong.join("; ").slice(0, 400) } } : {};
        last[kind] = response.nonce;
        const names = named(has);
        if (kind in asked && !wrong.length)
            askFor(kind, names[kind], response.nonce, response.version_info);
        else
            say(kind, { response_nonce: response.nonce, ...(delta ? {} : { version_info: response.version_info, resource_names: [...asked[kind] || []] }), ...refused });
        for (const other of Object.keys(asked))
            if (other !== kind)
                askFor(other, names[other]);
        const missing = Object.keys(asked).flatMap((one) => [...asked[one]].filter((name) => !has[one].has(name)));
        const refusals = [...wrong];
        if (!missing.length && has.listener.size && !wrong.length)
            checkAll(has);
        const told = Object.fromEntries(Object.keys(has).map((one) => [one, Object.fromEntries([...has[one]].map(([name, m]) => [name, plain(m)]))]));
        tell(key, { after: kind, missing, refusals, wrong, has: told });
    });
    call.on("error", (error) => {
        tell(key, { status: grpc.status[error.code], details: error.details });
    });
    calls.set(key, call);
    say("cluster", { node });
    say("listener", {});
}

/* ---- A bootstrap ------------------------------------------------------------------------------------------------------- */

function fill(at, type, object) {
    const wrapper = { BoolValue: 1, UInt32Value: 1, StringValue: 1 }[type.name];
    if (wrapper && typeof object !== "object")
        return type.create({ value: object });
    if (type.fullName === ".google.protobuf.Duration")
        return type.create({ seconds: parseFloat(object) });
    if (type.fullName === ".google.protobuf.Any") {
        const inner = root.lookupType(object["@type"].replace("type.googleapis.com/", "")), { "@type": url, ...rest } = object;
        return type.create({ type_url: url, value: inner.encode(fill(at, inner, rest)).finish() });
    }
    const message = type.create();
    for (const [name, value] of Object.entries(object)) {
        const field = type.fields[name];
        if (!field) {
            wrong.push(`${at}.${name}: ${type.name} has no such field`);
            continue;
        }
        field.resolve();
        const one = (v) => field.resolvedType instanceof protobuf.Type ? fill(`${at}.${name}`, field.resolvedType, v)
            : field.resolvedType instanceof protobuf.Enum ? field.resolvedType.values[v] ?? (wrong.push(`${at}.${name}: no ${v}`), 0) : v;
        message[name] = field.map ? Object.fromEntries(Object.entries(value).map(([key, v]) => [key, one(v)]))
            : field.repeated ? value.map(one) : one(value);
    }
    return message;
}

function bootstrap(key, file) {
    const type = root.lookupType("envoy.config.bootstrap.v3.Bootstrap");
    wrong = [];
    check("bootstrap", type, fill("bootstrap", type, JSON.parse(fs.readFileSync(file, "utf8"))));
    tell(key, { wrong });
}

const commands = { ask, bootstrap, close: (key) => calls.get(key).cancel() };
readline.createInterface({ input: process.stdin }).on("line", (line) => {
    const [command, ...rest] = line.split(" ");
    commands[command](...rest);
}).on("close", () => process.exit(0));
