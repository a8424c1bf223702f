#include "shared/http/http_head.h"
#include "shared/base/list.h"
#include "shared/http/http_grammar.h"
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

enum { BLOCK_BYTES = 4096 };

struct http_head_block {
    struct http_head_block *next;
    char data[];
};

/* ---- The arena ------------------------------------------------------------------------------- */

static void begin(struct http_head *h)
{
    h->status = 0;
    h->method = h->scheme = h->authority = h->path = h->protocol = (struct text){NULL, 0};
    h->fields = h->first_fields;
    h->fields_size = HTTP_FIELDS_INLINE;
    h->n = 0;
    h->blocks = NULL;
    h->at = h->first;
    h->left = HTTP_HEAD_INLINE;
    h->bytes = 0;
}

void http_head_init(struct http_head *h)
{
    begin(h);
}

void http_head_done(struct http_head *h)
{
    struct http_head_block *b = h->blocks;
    if (h->fields != h->first_fields)
        free(h->fields);
    while (b) {
        struct http_head_block *next = b->next;
        free(b);
        b = next;
    }
    begin(h);
}

static int add_block(struct http_head *h, size_t size)
{
    if (size < BLOCK_BYTES)
        size = BLOCK_BYTES;
    struct http_head_block *b = malloc(sizeof *b + size);
    if (!b)
        return -ENOMEM;
    b->next = h->blocks;
    h->blocks = b;
    h->at = b->data;
    h->left = size;
    return 0;
}

int http_head_alloc(struct http_head *h, size_t size, char **ret)
{
    if (size > HTTP_HEAD_BYTES_MAX - h->bytes)
        return -E2BIG;
    if (size > h->left) {
        int r = add_block(h, size);
        if (r < 0)
            return r;
    }
    *ret = h->at;
    h->at += size;
    h->left -= size;
    h->bytes += size;
    return 0;
}

/* Into a block of its own, with as much again behind it for the next time; one that held nothing
 * else goes. */
static int enlarge_by_moving(struct http_head *h, char **memory, size_t size, size_t used,
                             size_t want)
{
    struct http_head_block *old = h->blocks;
    int r = add_block(h, 2 * want);
    if (r < 0)
        return r;
    memcpy(h->blocks->data, *memory, used);
    if (old && old->data == *memory) {
        h->blocks->next = old->next;
        free(old);
    }
    *memory = h->blocks->data;
    h->at += want;
    h->left -= want;
    h->bytes += want - size;
    return 0;
}

int http_head_enlarge(struct http_head *h, char **memory, size_t size, size_t used, size_t want)
{
    assert(*memory + size == h->at && used <= size && size <= want);
    if (want - size > HTTP_HEAD_BYTES_MAX - h->bytes)
        return -E2BIG;
    if (want - size > h->left)
        return enlarge_by_moving(h, memory, size, used, want);
    h->at += want - size;
    h->left -= want - size;
    h->bytes += want - size;
    return 0;
}

static int copy_in(struct http_head *h, struct text t, struct text *ret)
{
    char *to;
    int r = http_head_alloc(h, t.len, &to);
    if (r < 0)
        return r;
    if (t.len > 0)
        memcpy(to, t.data, t.len);
    *ret = (struct text){to, t.len};
    return 0;
}

static int copy_in_lower(struct http_head *h, struct text t, struct text *ret)
{
    char *to;
    int r = http_head_alloc(h, t.len, &to);
    if (r < 0)
        return r;
    for (size_t i = 0; i < t.len; i++)
        to[i] = text_lower(t.data[i]);
    *ret = (struct text){to, t.len};
    return 0;
}

/* ---- Looking --------------------------------------------------------------------------------- */

const struct http_field *http_head_next(const struct http_head *h, struct text name, size_t *at)
{
    while (*at < h->n) {
        const struct http_field *f = &h->fields[(*at)++];
        if (text_equal(f->name, name))
            return f;
    }
    return NULL;
}

struct text http_head_get(const struct http_head *h, struct text name)
{
    size_t at = 0;
    const struct http_field *f = http_head_next(h, name, &at);
    return f ? f->value : (struct text){NULL, 0};
}

static struct text separator_of(struct text name)
{
    return text_equal(name, TEXT("cookie")) ? TEXT("; ") : TEXT(", ");
}

static void put(char **at, struct text t)
{
    if (t.len > 0)
        memcpy(*at, t.data, t.len);
    *at += t.len;
}

int http_head_joined(struct http_head *h, struct text name, struct text *ret_value)
{
    struct text separator = separator_of(name);
    const struct http_field *f;
    size_t len = 0, n = 0;
    char *to, *end;
    for (size_t at = 0; (f = http_head_next(h, name, &at)); n++)
        len += f->value.len + (n > 0 ? separator.len : 0);
    if (n == 0)
        return -ENOENT;
    if (n == 1) {
        *ret_value = http_head_get(h, name);
        return 0;
    }
    int r = http_head_alloc(h, len, &to);
    if (r < 0)
        return r;
    end = to;
    for (size_t at = 0; (f = http_head_next(h, name, &at));) {
        put(&end, f->value);
        if (--n > 0)
            put(&end, separator);
    }
    *ret_value = (struct text){to, len};
    return 0;
}

/* ---- Changing -------------------------------------------------------------------------------- */

static int want_field(struct http_head *h)
{
    if (h->n < h->fields_size)
        return 0;
    if (h->n == HTTP_FIELDS_MAX)
        return -E2BIG;
    struct http_field *more = malloc(HTTP_FIELDS_MAX * sizeof *more);
    if (!more)
        return -ENOMEM;
    memcpy(more, h->first_fields, sizeof h->first_fields);
    h->fields = more;
    h->fields_size = HTTP_FIELDS_MAX;
    return 0;
}

int http_head_add_view(struct http_head *h, struct text name, struct text value)
{
    int r = want_field(h);
    if (r < 0)
        return r;
    h->fields[h->n++] = (struct http_field){name, value};
    return 0;
}

int http_head_add(struct http_head *h, struct text name, struct text value)
{
    struct http_field f;
    if (!http_is_token(name) || !http_is_field_value(value))
        return -EINVAL;
    int r = want_field(h);
    if (r == 0)
        r = copy_in_lower(h, name, &f.name);
    if (r == 0)
        r = copy_in(h, value, &f.value);
    return r < 0 ? r : http_head_add_view(h, f.name, f.value);
}

static struct http_field *find(struct http_head *h, struct text name)
{
    for (size_t i = 0; i < h->n; i++)
        if (text_equal_nocase(h->fields[i].name, name))
            return &h->fields[i];
    return NULL;
}

int http_head_set(struct http_head *h, struct text name, struct text value)
{
    struct http_field *first = find(h, name);
    if (!first)
        return http_head_add(h, name, value);
    if (!http_is_field_value(value))
        return -EINVAL;
    int r = copy_in(h, value, &first->value);
    if (r < 0)
        return r;
    for (size_t i = h->n; i-- > (size_t)(first - h->fields) + 1;)
        if (text_equal(h->fields[i].name, first->name))
            http_head_remove_at(h, i);
    return 0;
}

int http_head_append(struct http_head *h, struct text name, struct text value)
{
    struct http_field *last = NULL;
    char *to, *end;
    for (size_t i = 0; i < h->n; i++)
        if (text_equal_nocase(h->fields[i].name, name))
            last = &h->fields[i];
    if (!last)
        return http_head_add(h, name, value);
    if (!http_is_field_value(value))
        return -EINVAL;
    struct text separator = separator_of(last->name);
    size_t len = last->value.len + separator.len + value.len;
    int r = http_head_alloc(h, len, &to);
    if (r < 0)
        return r;
    end = to;
    put(&end, last->value);
    put(&end, separator);
    put(&end, value);
    last->value = (struct text){to, len};
    return 0;
}

void http_head_remove_at(struct http_head *h, size_t index)
{
    assert(index < h->n);
    h->n--;
    memmove(&h->fields[index], &h->fields[index + 1], (h->n - index) * sizeof *h->fields);
}

size_t http_head_remove(struct http_head *h, struct text name)
{
    size_t kept = 0, n = h->n;
    for (size_t i = 0; i < n; i++)
        if (!text_equal(h->fields[i].name, name))
            h->fields[kept++] = h->fields[i];
    h->n = kept;
    return n - kept;
}

static int set(struct http_head *h, bool right, struct text value, struct text *ret)
{
    return right ? copy_in(h, value, ret) : -EINVAL;
}

int http_head_set_method(struct http_head *h, struct text method)
{
    return set(h, http_is_token(method), method, &h->method);
}

int http_head_set_scheme(struct http_head *h, struct text scheme)
{
    return set(h, text_equal(scheme, TEXT("http")) || text_equal(scheme, TEXT("https")), scheme,
               &h->scheme);
}

int http_head_set_authority(struct http_head *h, struct text authority)
{
    return set(h, authority.len == 0 || http_is_authority(authority), authority, &h->authority);
}

int http_head_set_path(struct http_head *h, struct text path)
{
    return set(h, http_is_path(path), path, &h->path);
}

int http_head_set_protocol(struct http_head *h, struct text protocol)
{
    return set(h, http_is_token(protocol), protocol, &h->protocol);
}

int http_head_copy(struct http_head *to, const struct http_head *from)
{
    const struct text *texts[] = {&from->method, &from->scheme, &from->authority, &from->path,
                                  &from->protocol};
    struct text *copies[] = {&to->method, &to->scheme, &to->authority, &to->path, &to->protocol};
    int r = 0;
    assert(to->n == 0 && to->bytes == 0);
    to->status = from->status;
    for (size_t i = 0; i < ARRAY_SIZE(texts) && r == 0; i++)
        if (texts[i]->data)
            r = copy_in(to, *texts[i], copies[i]);
    for (size_t i = 0; i < from->n && r == 0; i++) {
        struct http_field f;
        r = copy_in(to, from->fields[i].name, &f.name);
        if (r == 0)
            r = copy_in(to, from->fields[i].value, &f.value);
        if (r == 0)
            r = http_head_add_view(to, f.name, f.value);
    }
    if (r < 0)
        http_head_done(to);
    return r;
}
