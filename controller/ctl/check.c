#include "controller/ctl/check.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void check_init(struct check *c)
{
    *c = (struct check){0};
}

void check_done(struct check *c)
{
    free(c->lines);
    check_init(c);
}

void check_add(struct check *c, enum check_level level, const char *subject, const char *remedy,
               const char *format, ...)
{
    if (!c->lines)
        c->lines = calloc(CHECK_LINES_MAX, sizeof *c->lines);
    if (!c->lines || c->n == CHECK_LINES_MAX) {
        c->failed = true;
        return;
    }
    struct check_line *l = &c->lines[c->n++];
    va_list args;
    l->level = level;
    snprintf(l->subject, sizeof l->subject, "%s", subject);
    snprintf(l->remedy, sizeof l->remedy, "%s", remedy ? remedy : "");
    va_start(args, format);
    vsnprintf(l->text, sizeof l->text, format, args);
    va_end(args);
}

size_t check_count(const struct check *c, enum check_level level)
{
    size_t n = 0;
    for (size_t i = 0; i < c->n; i++)
        n += c->lines[i].level == level;
    return n;
}

static const char *const levels[] = {
    [CHECK_OK] = "ok", [CHECK_WARN] = "warn", [CHECK_FAIL] = "FAIL"};

void check_print(const struct check *c, struct text_heap *out)
{
    for (size_t i = 0; i < c->n; i++) {
        const struct check_line *l = &c->lines[i];
        text_heap_printf(out, "%-4s  %-14s  %s\n", levels[l->level], l->subject, l->text);
        if (l->remedy[0])
            text_heap_printf(out, "                        -> %s\n", l->remedy);
    }
    size_t failures = check_count(c, CHECK_FAIL), warnings = check_count(c, CHECK_WARN);
    text_heap_printf(out, "%zu failed, %zu warning%s, %zu in order\n", failures, warnings,
                     warnings == 1 ? "" : "s", check_count(c, CHECK_OK));
    out->failed |= c->failed;
}

void check_json(const struct check *c, struct json_out *o)
{
    json_out_object(o, NULL);
    json_out_u64(o, "failed", check_count(c, CHECK_FAIL));
    json_out_array(o, "lines");
    for (size_t i = 0; i < c->n; i++) {
        json_out_object(o, NULL);
        json_out_string(o, "level", levels[c->lines[i].level]);
        json_out_string(o, "subject", c->lines[i].subject);
        json_out_string(o, "text", c->lines[i].text);
        json_out_string(o, "remedy", c->lines[i].remedy);
        json_out_end(o);
    }
    json_out_end(o);
    json_out_end(o);
}

double check_metric(struct text metrics, const char *name, const char *labels)
{
    struct text line, rest = metrics;
    size_t len = strlen(name);
    while (rest.len > 0) {
        if (!text_split(rest, '\n', &line, &rest)) {
            line = rest;
            rest.len = 0;
        }
        if (line.len <= len || memcmp(line.data, name, len) != 0 ||
            (line.data[len] != ' ' && line.data[len] != '{'))
            continue;
        const char *space = memrchr(line.data, ' ', line.len);
        char number[64];
        if (!space || (labels && !memmem(line.data, line.len, labels, strlen(labels))))
            continue;
        snprintf(number, sizeof number, "%.*s", (int)(line.data + line.len - space - 1), space + 1);
        return strtod(number, NULL);
    }
    return -1;
}
