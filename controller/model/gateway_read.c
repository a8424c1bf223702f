#include "controller/model/gateway_read.h"
#include "shared/http/http_grammar.h"
#include "shared/regex/regex.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

const char *gateway_field(struct reader *r, const struct json *node)
{
    char path[JSON_ERROR_MAX];
    struct text_out out = TEXT_OUT(path);
    read_where(r, node, &out);
    return read_copy(r, (struct text){out.data, out.len});
}

void gateway_flaw_add(struct reader *r, struct gateway_flaw *f, enum gateway_flaw_kind kind,
                      const struct json *node, const char *format, ...)
{
    char text[2 * JSON_ERROR_MAX], message[JSON_ERROR_MAX];
    struct text_out out = TEXT_OUT(text);
    va_list args;
    if (f->kind != GATEWAY_NO_FLAW)
        return;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    read_where(r, node, &out);
    text_printf(&out, ": %s", message);
    f->text = read_copy(r, (struct text){out.data, out.len});
    f->kind = kind;
}

void gateway_known(struct reader *r, struct gateway_flaw *f, const struct json *of,
                   const char *const *known)
{
    json_for_each (j, of) {
        const char *const *k = known;
        while (*k && !text_equal(json_name(j), text_of(*k)))
            k++;
        if (!*k && !json_is(j, JSON_NULL))
            gateway_flaw_add(r, f, GATEWAY_FLAW_VALUE, j, "is not supported");
    }
}

static const char *string_or(struct reader *r, const struct json *of, const char *name,
                             const char *absent)
{
    return read_member(of, name) ? read_string(r, of, name) : absent;
}

struct gateway_ref gateway_ref_read(struct reader *r, const struct json *j, const char *ns,
                                    const char *group, const char *kind)
{
    struct gateway_ref ref = {.group = string_or(r, j, "group", group),
                              .kind = string_or(r, j, "kind", kind),
                              .ns = string_or(r, j, "namespace", ns),
                              .name = read_string(r, j, "name"),
                              .field = gateway_field(r, j),
                              .port = read_port(r, j, "port")};
    if (!ref.name[0])
        read_fail(r, j, "name is missing");
    return ref;
}

uint32_t gateway_number(struct reader *r, const struct json *of, const char *name, uint32_t max,
                        uint32_t absent)
{
    int64_t value = absent;
    json_opt_i64(of, name, 0, max, &value, r->error);
    return (uint32_t)value;
}

bool gateway_regex_check(struct reader *r, struct gateway_flaw *f, const struct json *node)
{
    char why[WHY_MAX];
    struct regex *compiled = NULL;
    int err = regex_new(&compiled, json_text(node), why);
    regex_free(compiled);
    if (err == -ENOMEM)
        r->no_memory = true;
    else if (err < 0)
        gateway_flaw_add(r, f, GATEWAY_FLAW_VALUE, node, "is no regular expression: %s", why);
    return err == 0;
}

static const char *lower(struct reader *r, struct text t)
{
    char *copy = read_array(r, t.len + 1, 1);
    if (!copy)
        return "";
    for (size_t i = 0; i < t.len; i++)
        copy[i] = text_lower(t.data[i]);
    return copy;
}

static bool is_there(const struct gateway_texts *t, const char *name)
{
    for (size_t i = 0; i < t->n; i++)
        if (strcmp(t->items[i].name, name) == 0)
            return true;
    return false;
}

struct gateway_texts gateway_texts_read(struct reader *r, struct gateway_flaw *f,
                                        const struct json *of, const char *name, bool headers)
{
    static const char *const known[] = {"type", "name", "value", NULL};
    const struct json *list = read_list(r, of, name, GATEWAY_TEXTS_MAX);
    struct gateway_text *items = read_array(r, json_count(list), sizeof *items);
    struct gateway_texts texts = {items, 0};
    json_for_each (j, list) {
        if (!items || !json_is(j, JSON_OBJECT)) {
            read_fail(r, j, "must be an object with name and value");
            break;
        }
        const char *type = read_string(r, j, "type"), *key = read_string(r, j, "name");
        gateway_known(r, f, j, known);
        if (!key[0] || (headers && !http_is_token(text_of(key)))) {
            gateway_flaw_add(r, f, GATEWAY_FLAW_VALUE, j, "name is missing, or no header's name");
            continue;
        }
        if (headers)
            key = lower(r, text_of(key));
        enum gateway_text_kind kind = GATEWAY_TEXT_PRESENT;
        if (!type[0] || strcmp(type, "Exact") == 0)
            kind = GATEWAY_TEXT_EXACT;
        else if (strcmp(type, "RegularExpression") != 0)
            gateway_flaw_add(r, f, GATEWAY_FLAW_VALUE, read_member(j, "type"),
                             "'%s' is not one of Exact, RegularExpression", type);
        else if (gateway_regex_check(r, f, read_member(j, "value")))
            kind = GATEWAY_TEXT_REGEX;
        if (!is_there(&texts, key))
            items[texts.n++] = (struct gateway_text){key, read_string(r, j, "value"), kind};
    }
    return texts;
}
