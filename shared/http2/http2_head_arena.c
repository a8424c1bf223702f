#include "shared/http2/http2_head_arena.h"
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

enum { FIELD_OVERHEAD = 32, FIRST_SIZE = 2048 };

void http2_head_arena_init(struct http2_head_arena *a, size_t bytes_max, size_t fields_max)
{
    assert(fields_max <= HTTP2_FIELDS_MOST);
    *a = (struct http2_head_arena){.max = bytes_max, .fields_max = fields_max};
}

static void wipe(struct http2_head_arena *a)
{
    if (a->secret)
        explicit_bzero(a->data, a->len);
}

void http2_head_arena_done(struct http2_head_arena *a)
{
    wipe(a);
    free(a->data);
    http2_head_arena_init(a, a->max, a->fields_max);
}

void http2_head_arena_reset(struct http2_head_arena *a)
{
    wipe(a);
    a->len = a->counted = a->n = a->n_pseudo = 0;
    a->secret = false;
}

static int grow(struct http2_head_arena *a, size_t want)
{
    size_t size = a->size ? a->size : FIRST_SIZE;
    while (size < want)
        size *= 2;
    /* As realloc(), which would leave what was there behind. */
    char *data = malloc(size);
    if (!data)
        return -ENOMEM;
    if (a->len > 0)
        memcpy(data, a->data, a->len);
    wipe(a);
    free(a->data);
    a->data = data;
    a->size = size;
    return 0;
}

int http2_head_arena_add(struct http2_head_arena *a, struct text name, struct text value)
{
    size_t left = a->max - a->counted;
    bool pseudo = name.len > 0 && name.data[0] == ':';
    if ((pseudo ? a->n_pseudo == HTTP2_PSEUDO_MAX : a->n - a->n_pseudo == a->fields_max) ||
        name.len > left || value.len > left - name.len ||
        FIELD_OVERHEAD > left - name.len - value.len)
        return -E2BIG;
    size_t end = a->len + name.len + value.len;
    if (end > a->size) {
        int r = grow(a, end);
        if (r < 0)
            return r;
    }
    if (name.len)
        memcpy(a->data + a->len, name.data, name.len);
    if (value.len)
        memcpy(a->data + a->len + name.len, value.data, value.len);
    a->secret |= text_equal(name, TEXT("authorization"));
    a->fields[a->n].start = (uint32_t)a->len;
    a->fields[a->n].name_len = (uint32_t)name.len;
    a->fields[a->n].value_len = (uint32_t)value.len;
    a->n++;
    a->n_pseudo += pseudo;
    a->counted += name.len + value.len + FIELD_OVERHEAD;
    a->len = end;
    return 0;
}

size_t http2_head_arena_view(const struct http2_head_arena *a,
                             struct http2_header ret[HTTP2_HEADERS_MAX])
{
    for (size_t i = 0; i < a->n; i++) {
        const char *start = a->data + a->fields[i].start;
        ret[i].name = (struct text){start, a->fields[i].name_len};
        ret[i].value = (struct text){start + a->fields[i].name_len, a->fields[i].value_len};
    }
    return a->n;
}
