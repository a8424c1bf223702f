#include "controller/model/health_annotation.h"
#include "controller/model/object_kinds.h"
#include "shared/mesh/service.h"
#include <strings.h>

enum { SELECTOR_MAX = 64 };
enum {
    PROTOCOL_UNKNOWN,
    PROTOCOL_HTTP11,
    PROTOCOL_HTTP2,
    PROTOCOL_GRPC,
    PROTOCOL_TCP,
    PROTOCOL_TLS
};
enum { FAMILIES_AUTOMATIC, FAMILIES_V4, FAMILIES_V6, FAMILIES_DUAL };

bool traffic_distribution_parse(const char *word, enum traffic_distribution *ret)
{
    if (strcasecmp(word, "PreferClose") == 0 || strcasecmp(word, "PreferSameZone") == 0)
        *ret = TRAFFIC_SAME_ZONE;
    else if (strcasecmp(word, "PreferSameNode") == 0)
        *ret = TRAFFIC_SAME_NODE;
    else
        return false;
    return true;
}

/* appProtocol, else the port's name up to its first '-', else the port itself where servers
 * speak first: as Istio chooses (istio.io, "Protocol Selection"). */
uint8_t service_protocol(const char *declared, const char *name, uint16_t port)
{
    static const struct {
        const char *word;
        uint8_t protocol;
    } words[] = {
        {"http", PROTOCOL_HTTP11}, {"http2", PROTOCOL_HTTP2}, {"grpc", PROTOCOL_GRPC},
        {"tcp", PROTOCOL_TCP},     {"tls", PROTOCOL_TLS},     {"https", PROTOCOL_TLS},
    };
    static const char *const others[] = {"grpc-web", "mongo",      "redis", "mysql",
                                         "udp",      "http_proxy", "hbone"};
    static const struct {
        const char *word;
        uint8_t protocol;
    } standard[] = {
        {"kubernetes.io/h2c", PROTOCOL_HTTP2},
        {"kubernetes.io/ws", PROTOCOL_HTTP11},
        {"kubernetes.io/wss", PROTOCOL_TLS},
    };
    for (size_t i = 0; i < sizeof standard / sizeof *standard; i++)
        if (strcmp(declared, standard[i].word) == 0)
            return standard[i].protocol;
    const char *word = declared[0] ? declared : name;
    size_t len = strcspn(word, "-");
    if (strncasecmp(word, "grpc-web", 8) == 0)
        len = 8;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strlen(words[i].word) == len && strncasecmp(word, words[i].word, len) == 0)
            return words[i].protocol;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (strlen(others[i]) == len && strncasecmp(word, others[i], len) == 0)
            return PROTOCOL_UNKNOWN;
    bool server_first = port == 25 || port == 53 || port == 3306 || port == 27017;
    return server_first ? PROTOCOL_TCP : PROTOCOL_UNKNOWN;
}

static void read_target(struct reader *r, const struct json *port, struct kube_service_port *ret)
{
    const struct json *target = read_member(port, "targetPort");
    ret->target_name = "";
    if (!target)
        ret->target = ret->port;
    else if (json_is(target, JSON_STRING)) {
        uint64_t number;
        if (text_to_u64(json_text(target), 65535, &number) == 0 && number > 0)
            ret->target = (uint16_t)number;
        else if (name_check_label(json_text(target)))
            read_fail(r, target, "'%s' is neither a port number nor a port's name",
                      json_text(target).data);
        else
            ret->target_name = read_copy(r, json_text(target));
    } else
        ret->target = read_port(r, port, "targetPort");
}

static void read_ports(struct reader *r, const struct json *spec, struct kube_service *s)
{
    const struct json *list = read_list(r, spec, "ports", SERVICE_PORTS_MAX);
    struct kube_service_port *ports = read_array(r, json_count(list), sizeof *ports);
    s->ports = ports;
    if (!ports)
        return;
    json_for_each (j, list) {
        struct kube_service_port *port = &ports[s->n_ports];
        const char *protocol = read_string(r, j, "protocol");
        port->port = read_port(r, j, "port");
        if (!port->port)
            read_fail(r, j, "port is missing");
        port->name = read_string(r, j, "name");
        port->app_protocol = service_protocol(read_string(r, j, "appProtocol"), port->name, port->port);
        read_target(r, j, port);
        if (protocol[0] && strcmp(protocol, "TCP") != 0)
            continue; /* not ours to carry */
        for (size_t i = 0; i < s->n_ports; i++)
            if (ports[i].port == port->port)
                read_fail(r, j, "port %u is there twice", port->port);
        s->n_ports++;
    }
}

static void read_addresses(struct reader *r, const struct json *spec, struct kube_service *s)
{
    const struct json *list = read_list(r, spec, "clusterIPs", SERVICE_ADDRESSES_MAX);
    const struct json *single = read_member(spec, "clusterIP");
    struct ip *addresses = read_array(r, json_count(list) + 1, sizeof *addresses);
    s->addresses = addresses;
    if (!addresses)
        return;
    const struct json *one = json_count(list) ? json_first(list) : single;
    while (one) {
        bool none = json_is(one, JSON_STRING) &&
                    (json_text(one).len == 0 || text_equal(json_text(one), TEXT("None")));
        s->headless |= json_is(one, JSON_STRING) && text_equal(json_text(one), TEXT("None"));
        if (!none && read_ip(r, one, &addresses[s->n_addresses]))
            s->n_addresses++;
        one = json_count(list) ? json_next(one) : NULL;
    }
}

static void read_families(struct reader *r, const struct json *spec, struct kube_service *s)
{
    struct values families = read_strings(r, spec, "ipFamilies", 2);
    s->ip_families = FAMILIES_AUTOMATIC;
    if (families.n == 2)
        s->ip_families = FAMILIES_DUAL;
    else if (families.n == 1)
        s->ip_families = strcmp(families.items[0], "IPv6") == 0 ? FAMILIES_V6 : FAMILIES_V4;
}

static void read_distribution(struct reader *r, const struct json *spec, struct object *o)
{
    struct kube_service *s = &o->service;
    const char *annotation =
        labels_get(&o->annotations, "networking.istio.io/traffic-distribution");
    const char *field = read_string(r, spec, "trafficDistribution");
    if (traffic_distribution_parse(field, &s->distribution))
        s->distribution_set = true;
    else if (annotation && annotation[0]) {
        s->distribution_set = true;
        traffic_distribution_parse(annotation, &s->distribution); /* another word: any */
    }
}

/* Blanks around words are Istio's to allow. */
static struct text trimmed(struct text t)
{
    while (t.len > 0 && t.data[0] == ' ')
        t = (struct text){t.data + 1, t.len - 1};
    while (t.len > 0 && t.data[t.len - 1] == ' ')
        t.len--;
    return t;
}

static void export_flaw(struct reader *r, struct kube_service *s, struct text word, const char *why)
{
    char said[200];
    struct text_out out = TEXT_OUT(said);
    text_printf(&out, "'%.*s' %s, and counts for nothing", word.len < 70 ? (int)word.len : 70, word.data, why);
    if (!s->export_flaw)
        s->export_flaw = read_copy(r, (struct text){out.data, out.len});
}

/* ".", "*", "~" (nobody) and names of namespaces, between commas. Who can't read a word tells nobody by it: where none is
 * left the Service is told to nobody. */
static void read_export(struct reader *r, struct object *o)
{
    struct kube_service *s = &o->service;
    const char *annotation = labels_get(&o->annotations, EXPORT_ANNOTATION);
    struct text word, rest = trimmed(text_of(annotation ? annotation : ""));
    const char **items = rest.len > 0 ? read_array(r, EXPORTED_MAX, sizeof *items) : NULL;
    size_t n = 0;
    bool all = false;
    for (bool more = items != NULL; more;) {
        more = text_split(rest, ',', &word, &rest);
        word = trimmed(more ? word : rest);
        all |= text_equal(word, TEXT("*"));
        bool known = text_equal(word, TEXT("*")) || text_equal(word, TEXT("~"));
        if (!known && !text_equal(word, TEXT(".")) && name_check_label(word))
            export_flaw(r, s, word, "is none of '.', '*', '~' and a namespace");
        else if (!known && n == EXPORTED_MAX)
            export_flaw(r, s, word, "is beyond as many namespaces as can be said");
        else if (!known)
            items[n++] = text_equal(word, TEXT(".")) ? o->ns : read_copy(r, word);
    }
    if (!items || all)
        return;
    if (n == 0)
        items[n++] = "~"; /* no namespace has this name */
    s->exported = (struct values){items, n};
}

void kube_service_read(struct reader *r, const struct json *document, struct object *o)
{
    struct kube_service *s = &o->service;
    const struct json *spec = read_object(r, document, "spec");

    s->selector = read_labels(r, spec, "selector");
    if (s->selector.n > SELECTOR_MAX)
        read_fail(r, read_member(spec, "selector"), "has more than %d labels", SELECTOR_MAX);
    s->external_name = strcmp(read_string(r, spec, "type"), "ExternalName") == 0;
    s->publish_not_ready = read_bool(r, spec, "publishNotReadyAddresses", false);
    s->internal_local = strcmp(read_string(r, spec, "internalTrafficPolicy"), "Local") == 0;
    read_ports(r, spec, s);
    read_addresses(r, spec, s);
    read_families(r, spec, s);
    read_distribution(r, spec, o);
    read_export(r, o);
    s->health_check = health_annotation_read(r, o, &s->health_flaw);
}
