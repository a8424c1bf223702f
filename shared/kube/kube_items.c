#include "shared/kube/kube_items.h"
#include <errno.h>

enum { KEPT_BYTES = 64 * 1024 };

void kube_items_init(struct kube_items *s, size_t item_max,
                     void (*item)(struct kube_items *s, struct text item))
{
    *s = (struct kube_items){.item = item};
    text_heap_init(&s->item_text, item_max);
    text_heap_init(&s->rest, KUBE_REST_MAX);
}

void kube_items_done(struct kube_items *s)
{
    text_heap_done(&s->item_text);
    text_heap_done(&s->rest);
}

static void fail(struct kube_items *s, int error)
{
    if (s->error == 0)
        s->error = error;
}

/* Where bytes go that are not a separator of items. */
static void keep(struct kube_items *s, const char *data, size_t len)
{
    struct text_heap *to = s->in_item ? &s->item_text : &s->rest;
    if (len == 0)
        return;
    text_heap_put(to, (struct text){data, len});
    if (to->failed)
        fail(s, to->len + len > to->max ? -E2BIG : -ENOMEM);
}

static void item_ends(struct kube_items *s)
{
    struct text_heap *h = &s->item_text;
    s->in_item = false;
    s->item(s, (struct text){h->data, h->len});
    if (h->size > KEPT_BYTES) {
        size_t max = h->max;
        text_heap_done(h);
        text_heap_init(h, max);
    }
    h->len = 0;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static void string_byte(struct kube_items *s, char c)
{
    if (s->escaped)
        s->escaped = false;
    else if (c == '\\')
        s->escaped = true;
    else if (c == '"') {
        s->in_string = false;
        return;
    }
    if (s->nesting == 1) {
        if (s->string_len < sizeof s->string)
            s->string[s->string_len] = c;
        s->string_len++;
    }
}

static void open_one(struct kube_items *s, char c)
{
    if (s->nesting == 1 && s->named_items && c == '[')
        s->in_items = true;
    s->named_items = false;
    if (++s->nesting > KUBE_NESTING_MAX)
        fail(s, -E2BIG);
}

static void close_one(struct kube_items *s)
{
    if (s->nesting == 0)
        fail(s, -EINVAL);
    else
        s->nesting--;
    if (s->nesting == 1)
        s->in_items = false;
}

/* One byte outside of strings. */
static void plain_byte(struct kube_items *s, char c)
{
    switch (c) {
    case '"':
        s->in_string = true;
        s->string_len = 0;
        break;
    case ':':
        if (s->nesting == 1)
            s->named_items = s->string_len == 5 && memcmp(s->string, "items", 5) == 0;
        break;
    case ',':
        s->named_items = false;
        break;
    case '{':
    case '[':
        open_one(s, c);
        break;
    case '}':
    case ']':
        close_one(s);
        break;
    default:
        break;
    }
}

/* Between items nothing is kept but the array's end. */
static bool is_between(struct kube_items *s, char c)
{
    if (!s->in_items || s->in_string || s->nesting != 2)
        return false;
    if (c == ',' || is_blank(c))
        return !s->in_item || c == ',';
    return false;
}

void kube_items_put(struct kube_items *s, struct text bytes)
{
    size_t from = 0;
    for (size_t i = 0; i < bytes.len && s->error == 0; i++) {
        char c = bytes.data[i];
        if (s->in_string) {
            string_byte(s, c);
            continue;
        }
        bool at_items = s->in_items && s->nesting == 2;
        if (at_items && s->in_item && (c == ',' || c == ']')) {
            keep(s, bytes.data + from, i - from);
            from = i;
            if (s->error == 0)
                item_ends(s);
        }
        if (is_between(s, c)) {
            keep(s, bytes.data + from, i - from);
            from = i + 1;
            continue;
        }
        if (at_items && !s->in_item && c != ']') {
            keep(s, bytes.data + from, i - from);
            from = i;
            s->in_item = true;
        }
        plain_byte(s, c);
    }
    if (s->error == 0)
        keep(s, bytes.data + from, bytes.len - from);
}

int kube_items_end(struct kube_items *s)
{
    if (s->nesting > 0 || s->in_string || s->rest.len == 0)
        fail(s, -EINVAL);
    return s->error;
}
