/* What weirctl tap asks for and shows; see the header. */
#include "controller/ctl/tap.h"

#include "shared/base/list.h"
#include <errno.h>
#include <inttypes.h>

/* ---- asking ----------------------------------------------------------------------------------- */

/* RFC 3986, 2.3: all but what is never special. */
static void put_encoded(struct text_out *o, struct text value)
{
    for (size_t i = 0; i < value.len; i++) {
        unsigned char c = (unsigned char)value.data[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                     c == '-' || c == '.' || c == '_' || c == '~' || c == '/';
        text_printf(o, plain ? "%c" : "%%%02X", c);
    }
}

static void put_parameter(struct text_out *o, const char *name, struct text value)
{
    if (value.len == 0)
        return;
    text_printf(o, "%c%s=", o->len == 4 ? '?' : '&', name);
    put_encoded(o, value);
}

int tap_target(const struct tap_wish *w, char ret[static TAP_TARGET_MAX], char why[static WHY_MAX])
{
    struct text_out o = {ret, 0, TAP_TARGET_MAX, false};
    struct text ns = text_of(w->ns), workload = text_of(w->workload), before, after;
    char max[24] = "";
    struct text_out number = {max, 0, sizeof max, false};
    if (w->workload && text_split(workload, '/', &before, &after)) {
        if (before.len == 0 || after.len == 0 || (w->ns && !text_equal(before, ns)))
            return why_say(-EINVAL, why,
                           "'%.100s' is no NAMESPACE/NAME, or of another namespace than -n",
                           w->workload);
        ns = before;
        workload = after;
    }
    if (w->max > 0)
        text_printf(&number, "%" PRIu64, w->max);
    text_puts(&o, "/tap");
    put_parameter(&o, "namespace", ns);
    put_parameter(&o, "workload", workload);
    put_parameter(&o, "direction", text_of(w->direction));
    put_parameter(&o, "method", text_of(w->method));
    put_parameter(&o, "path", text_of(w->path));
    put_parameter(&o, "status", text_of(w->status));
    put_parameter(&o, "max", text_of(max));
    put_parameter(&o, "query", w->query ? TEXT("true") : TEXT(""));
    return o.overflow ? why_say(-EINVAL, why, "what is asked for is too long") : 0;
}

/* ---- showing ---------------------------------------------------------------------------------- */

static struct text text_at(const struct json *line, const char *name)
{
    return json_text(json_member(line, text_of(name)));
}

static void put_escaped(struct text_heap *out, struct text t)
{
    char piece[TEXT_ESCAPE_MAX];
    size_t n;
    if (t.len == 0)
        text_heap_puts(out, "-");
    while ((n = text_escape_next(&t, piece)) > 0)
        text_heap_put(out, (struct text){piece, n});
}

/* The first of them that is there. */
static void put_any(struct text_heap *out, const struct json *line, const char *one,
                    const char *other)
{
    struct text t = text_at(line, one);
    put_escaped(out, t.len > 0 ? t : text_at(line, other));
}

static void put_side(struct text_heap *out, const struct json *line, const char *name,
                     const char *address, const char *identity)
{
    put_any(out, line, name, address);
    if (text_at(line, identity).len == 0)
        return;
    text_heap_puts(out, " (");
    put_escaped(out, text_at(line, identity));
    text_heap_puts(out, ")");
}

static int64_t number_at(const struct json *line, const char *name)
{
    struct json_error e = {0};
    int64_t n = 0;
    (void)json_opt_i64(line, name, 0, INT64_MAX, &n, &e);
    return n;
}

static void put_optional(struct text_heap *out, const struct json *line, const char *name)
{
    if (text_at(line, name).len == 0)
        return;
    text_heap_printf(out, " %s=", name);
    put_escaped(out, text_at(line, name));
}

void tap_print(const struct json *line, struct text_heap *out)
{
    put_escaped(out, text_at(line, "time"));
    text_heap_puts(out, " ");
    put_escaped(out, text_at(line, "direction"));
    text_heap_puts(out, " ");
    put_side(out, line, "source", "sourceAddress", "sourceIdentity");
    text_heap_puts(out, " -> ");
    put_side(out, line, "destination", "destinationAddress", "destinationIdentity");
    static const char *const words[] = {"method", "authority", "path"};
    for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
        text_heap_puts(out, " ");
        put_escaped(out, text_at(line, words[i]));
    }
    text_heap_printf(out, " %" PRIi64 " %" PRIi64 "ms received=%" PRIi64 " sent=%" PRIi64,
                     number_at(line, "status"), number_at(line, "durationMs"),
                     number_at(line, "bytesReceived"), number_at(line, "bytesSent"));
    static const char *const more[] = {"flags", "route", "policy"};
    for (size_t i = 0; i < ARRAY_SIZE(more); i++)
        put_optional(out, line, more[i]);
    text_heap_puts(out, "\n");
}
