/*
 * gRPC servers and a proxyless client of another make (@grpc/grpc-js, @grpc/grpc-js-xds), which do what
 * lines on the standard input say, and answer each with a line of JSON:
 *   serve NAME ADDRESS       a server that answers each call with its name; {"port": N}
 *   stop NAME
 *   call TARGET N [NAME=VALUE]  N calls one after the other, with a header; {"answers": {NAME: N}, "errors": {TEXT: N}}
 *   many TARGET N            likewise, all at once
 *   close TARGET             forgets the channel
 * What a server does with a call says its header x-do: "hang" is never answered, "again" fails (UNAVAILABLE) unless it is
 * said to be tried again.
 */
"use strict";
const readline = require("readline");
const grpc = require("@grpc/grpc-js");
require("@grpc/grpc-js-xds").register();

const DEADLINE_MS = 10000;
const same = (buffer) => buffer;
const service = {
    who: {
        path: "/test.Cart/Who", requestStream: false, responseStream: false,
        requestSerialize: same, requestDeserialize: same, responseSerialize: same, responseDeserialize: same,
    },
};
const Client = grpc.makeGenericClientConstructor(service, "test.Cart");
const servers = new Map();
const clients = new Map();

function answer(name, call, callback) {
    const [told] = call.metadata.get("x-do");
    if (told === "hang")
        return;
    if (told === "again" && call.metadata.get("grpc-previous-rpc-attempts").length === 0)
        callback({ code: grpc.status.UNAVAILABLE, details: "not yet" });
    else
        callback(null, Buffer.from(name));
}

function serve(name, address) {
    const server = new grpc.Server();
    server.addService(service, { who: (call, callback) => answer(name, call, callback) });
    servers.set(name, server);
    return new Promise((resolve, reject) => server.bindAsync(address, grpc.ServerCredentials.createInsecure(),
        (error, port) => error ? reject(error) : resolve({ port })));
}

function stop(name) {
    servers.get(name).forceShutdown();
    return {};
}

function one(client, metadata) {
    return new Promise((resolve) => client.who(Buffer.alloc(0), metadata, { deadline: Date.now() + DEADLINE_MS },
        (error, answer) => resolve({ error, answer })));
}

function clientOf(target) {
    if (!clients.has(target))
        clients.set(target, new Client(target, grpc.credentials.createInsecure()));
    return clients.get(target);
}

function count(results) {
    const counted = { answers: {}, errors: {} };
    for (const { error, answer } of results) {
        const kind = error ? counted.errors : counted.answers;
        const key = error ? `${grpc.status[error.code]}: ${error.details}` : answer.toString();
        kind[key] = (kind[key] || 0) + 1;
    }
    return counted;
}

async function call(target, n, header) {
    const results = [];
    const metadata = new grpc.Metadata();
    if (header)
        metadata.set(...header.split("="));
    for (let i = 0; i < n; i++)
        results.push(await one(clientOf(target), metadata));
    return count(results);
}

async function many(target, n) {
    return count(await Promise.all(Array.from({ length: n }, () => one(clientOf(target), new grpc.Metadata()))));
}

function close(target) {
    clients.get(target).close();
    clients.delete(target);
    return {};
}

async function obey(words) {
    switch (words[0]) {
    case "serve": return serve(words[1], words[2]);
    case "stop": return stop(words[1]);
    case "call": return call(words[1], Number(words[2]), words[3]);
    case "many": return many(words[1], Number(words[2]));
    case "close": return close(words[1]);
    default: throw new Error(`what is ${words[0]}?`);
    }
}

async function main() {
    for await (const line of readline.createInterface({ input: process.stdin })) {
        const answer = await obey(line.split(" ")).catch((error) => ({ failed: String(error) }));
        process.stdout.write(JSON.stringify(answer) + "\n");
    }
    process.exit(0);
}
main();
