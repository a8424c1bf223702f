/* `weir-ca list`: what is in the state, for people and for programs; see command.h. */
#include "ca/command.h"

#include "ca/row.h"

#include "shared/base/args.h"
#include "shared/base/clock.h"
#include "shared/base/list.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { OUTPUT_MAX = 256 * 1024 * 1024, ROWS_DEFAULT = 1000 };

/* A certificate's column is as wide as it mostly is; what is longer moves the rest of its line. */
static const struct {
    const char *name;
    int width;
} widths[] = {{"serial", 32}, {"identity", 48},  {"of", 48},      {"value", 48},
              {"at", 20},     {"not_after", 20}, {"expires", 20}, {"revoked", 20},
              {"proof", 15},  {"asker", 24},     {"node", 24},    {"outcome", 8}};

struct listing {
    const char *what;
    bool as_json;
    uint64_t n_rows;
    struct json_out json;
    struct text_heap text;
};

static int width_of(struct text name)
{
    for (size_t i = 0; i < ARRAY_SIZE(widths); i++)
        if (text_equal(name, text_of(widths[i].name)))
            return widths[i].width;
    return 12;
}

static void put_head(struct listing *l, const struct store_row *row)
{
    for (size_t i = 0; i < row->n; i++) {
        struct text t = row_name(row, i);
        char upper[64] = "";
        for (size_t c = 0; c < t.len && c < sizeof upper - 1; c++)
            upper[c] = t.data[c] == '_'                       ? '-'
                       : t.data[c] >= 'a' && t.data[c] <= 'z' ? (char)(t.data[c] - 32)
                                                              : t.data[c];
        text_heap_printf(&l->text, "%-*s%s", i + 1 < row->n ? width_of(t) : 0, upper,
                         i + 1 < row->n ? "  " : "\n");
    }
}

/* An identity that was asked for is what somebody sent: nothing but ASCII reaches a terminal. */
static void put_cell(struct listing *l, const char *value, int width, const char *end)
{
    int n = 0;
    if (!value[0])
        value = "-";
    for (const char *c = value; *c; c++, n++) {
        char shown = *c < ' ' || *c > '~' ? '?' : *c;
        text_heap_put(&l->text, (struct text){&shown, 1});
    }
    text_heap_printf(&l->text, "%*s%s", width > n ? width - n : 0, "", end);
}

static void put_line(struct listing *l, const struct store_row *row)
{
    char time[CLOCK_TEXT_MAX];
    if (l->n_rows == 0)
        put_head(l, row);
    for (size_t i = 0; i < row->n; i++)
        put_cell(l, row_value(row, i, time), i + 1 < row->n ? width_of(row_name(row, i)) : 0,
                 i + 1 < row->n ? "  " : "\n");
}

static void put_row(const struct store_row *row, void *arg)
{
    struct listing *l = arg;
    if (l->as_json)
        row_put_json(&l->json, row);
    else
        put_line(l, row);
    l->n_rows++;
}

static int list(struct store *s, enum store_list what, const char *identity, uint64_t rows_max,
                struct listing *l)
{
    text_heap_init(&l->text, OUTPUT_MAX);
    json_out_init(&l->json, &l->text, true);
    if (l->as_json) {
        json_out_object(&l->json, NULL);
        json_out_array(&l->json, l->what);
    }
    int r = store_list(s, what, identity, rows_max, clock_unix_s(), put_row, l);
    if (l->as_json) {
        json_out_end(&l->json);
        json_out_end(&l->json);
        text_heap_puts(&l->text, "\n");
    }
    if (r < 0)
        fprintf(stderr, "weir-ca: --state: %s\n", store_why(s));
    if (r == 0 && l->text.failed) {
        fprintf(stderr, "weir-ca: list: too long to be printed; say a smaller --rows\n");
        r = -ENOMEM;
    }
    if (r == 0)
        r = fwrite(l->text.data ? l->text.data : "", 1, l->text.len, stdout) == l->text.len &&
                    fflush(stdout) == 0
                ? 0
                : -EIO;
    text_heap_done(&l->text);
    return r;
}

int command_list(int argc, char **argv)
{
    static const char *const names[] = {"certificates", "tokens", "revocations", "audit",
                                        "authorities"};
    const char *state = NULL, *identity = "", *output = "table";
    uint64_t rows_max = ROWS_DEFAULT;
    struct store *store;
    size_t what = 0;
    int n = 0;
    const struct arg table[] = {
        {"state", ARG_STRING, &state, "DIR|postgresql:FILE", "the CA's state", 0, 0, true},
        {"identity", ARG_STRING, &identity, "SPIFFE-ID", "of that one alone", 0, 0, false},
        {"rows", ARG_U64, &rows_max, "N", "at most, the newest first", 1, 1000000, false},
        {"output", ARG_STRING, &output, "table|json", "how to print (-o)", 0, 0, false},
    };
    int r = args_parse("weir-ca list [certificates|tokens|revocations|audit|authorities]",
                       "What is in the state: certificates that were issued (default), tokens (the "
                       "beginning of their digests), what was revoked, the audit log, or roots and "
                       "intermediates with where a rotation stands.",
                       table, ARRAY_SIZE(table), argc, argv, &n);
    if (r < 0)
        return r == -ECANCELED ? 0 : 2;
    while (n > 0 && what < ARRAY_SIZE(names) && strcmp(argv[0], names[what]) != 0)
        what++;
    if (n > 1 || what == ARRAY_SIZE(names)) {
        fprintf(stderr, "weir-ca: list: must be one of certificates, tokens, revocations, audit, "
                        "authorities\n");
        return 2;
    }
    struct listing l = {.what = names[what], .as_json = strcmp(output, "json") == 0};
    if (!l.as_json && strcmp(output, "table") != 0)
        return command_usage_error("output", "must be table or json");
    if (command_open_state(state, &store) < 0)
        return 1;
    r = list(store, (enum store_list)what, identity, rows_max, &l);
    store_close(store);
    return r < 0 ? 1 : 0;
}
