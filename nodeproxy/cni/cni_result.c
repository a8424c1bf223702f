#include "nodeproxy/cni/cni_result.h"

#include "shared/json/json_out.h"
#include <errno.h>

static void put_ip(struct json_out *o, const struct cni_call *c, const struct json *ip)
{
    json_out_object(o, NULL);
    if (c->version < CNI_1_0_0) {
        bool v6 = memchr(json_text(json_get(ip, "address")).data, ':',
                         json_text(json_get(ip, "address")).len) != NULL;
        json_out_string(o, "version", v6 ? "6" : "4");
    }
    json_for_each (field, ip) {
        if (!text_equal(json_name(field), TEXT("version")))
            json_out_tree(o, json_name(field).data, field);
    }
    json_out_end(o);
}

int cni_result_print(const struct cni_call *c, struct text_heap *out, struct cni_error *e)
{
    struct ip ips[CNI_IPS_MAX];
    size_t n;
    int r = cni_call_ips(c, ips, &n, e);
    if (r < 0)
        return r;
    struct json_out o;
    json_out_init(&o, out, true);
    json_out_object(&o, NULL);
    json_out_text(&o, "cniVersion", c->version_text);
    json_for_each (field, c->previous) {
        if (text_equal(json_name(field), TEXT("cniVersion")))
            continue;
        if (!text_equal(json_name(field), TEXT("ips")) || !json_is(field, JSON_ARRAY)) {
            json_out_tree(&o, json_name(field).data, field);
            continue;
        }
        json_out_array(&o, "ips");
        json_for_each (ip, field) {
            put_ip(&o, c, ip);
        }
        json_out_end(&o);
    }
    json_out_end(&o);
    text_heap_puts(out, "\n");
    return out->failed ? -ENOMEM : 0;
}

static struct text version_of(const struct cni_call *c)
{
    return c->version_text.len > 0 ? c->version_text : text_of(cni_version_names[CNI_1_0_0]);
}

void cni_version_print(const struct cni_call *c, struct text_heap *out)
{
    struct json_out o;
    json_out_init(&o, out, true);
    json_out_object(&o, NULL);
    json_out_text(&o, "cniVersion", version_of(c));
    json_out_array(&o, "supportedVersions");
    for (int i = 0; i < CNI_VERSIONS; i++)
        json_out_string(&o, NULL, cni_version_names[i]);
    json_out_end(&o);
    json_out_end(&o);
    text_heap_puts(out, "\n");
}

void cni_error_print(const struct cni_call *c, const struct cni_error *e, struct text_heap *out)
{
    struct json_out o;
    json_out_init(&o, out, true);
    json_out_object(&o, NULL);
    json_out_text(&o, "cniVersion", version_of(c));
    json_out_u64(&o, "code", e->code);
    json_out_string(&o, "msg", e->msg);
    json_out_string(&o, "details", e->details);
    json_out_end(&o);
    text_heap_puts(out, "\n");
}
