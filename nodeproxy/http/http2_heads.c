#include "nodeproxy/http/http2_heads.h"

#include <assert.h>
#include <errno.h>

static_assert(HTTP_FIELDS_MAX + HTTP2_PSEUDO_MAX <= HTTP2_HEADERS_MAX,
              "any head of the one can be sent as the other");

static int read_status(struct http_head *head, struct text value)
{
    uint64_t status;
    if (value.len != HTTP2_STATUS_BYTES || text_to_u64(value, 599, &status) < 0 || status < 100)
        return -EINVAL;
    head->status = (unsigned)status;
    return 0;
}

static int read_pseudo(struct http_head *head, struct text name, struct text value)
{
    static const struct {
        struct text name;
        int (*set)(struct http_head *head, struct text value);
    } table[] = {
        {{":method", 7}, http_head_set_method},        {{":scheme", 7}, http_head_set_scheme},
        {{":authority", 10}, http_head_set_authority}, {{":path", 5}, http_head_set_path},
        {{":protocol", 9}, http_head_set_protocol},    {{":status", 7}, read_status},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (text_equal(name, table[i].name))
            return table[i].set(head, value);
    return -EINVAL;
}

static int join_cookies(struct http_head *head)
{
    struct text all;
    int r = http_head_joined(head, TEXT("cookie"), &all);
    if (r < 0)
        return r;
    http_head_remove(head, TEXT("cookie"));
    return http_head_add_view(head, TEXT("cookie"), all);
}

static int read_fields(const struct http2_head *from, struct http_head *head, bool trailers)
{
    size_t n_cookies = 0;
    for (size_t i = 0; i < from->n; i++) {
        struct text name = from->headers[i].name, value = from->headers[i].value;
        int r = 0;
        if (name.len > 0 && name.data[0] == ':')
            r = trailers ? -EINVAL : read_pseudo(head, name, value);
        else if (!text_equal(name, TEXT("host")))
            r = http_head_add(head, name, value);
        else if (!head->authority.data &&
                 !trailers) /* :authority, which comes before, is it; else this */
            r = http_head_set_authority(head, value);
        if (r < 0)
            return r;
        n_cookies += text_equal(name, TEXT("cookie"));
    }
    return n_cookies > 1 ? join_cookies(head) : 0;
}

static int read_all(const struct http2_head *from, struct http_head *ret, bool trailers)
{
    int r = read_fields(from, ret, trailers);
    if (r < 0)
        http_head_done(ret);
    return r == -EINVAL ? -EPROTO : r;
}

int http2_head_read(const struct http2_head *from, struct http_head *ret)
{
    return read_all(from, ret, false);
}

int http2_trailers_read(const struct http2_head *from, struct http_head *ret)
{
    return read_all(from, ret, true);
}

static int write_fields(const struct http_head *head, struct http2_header *ret, size_t n,
                        size_t *ret_n)
{
    if (head->n > HTTP2_HEADERS_MAX - n)
        return -E2BIG;
    for (size_t i = 0; i < head->n; i++)
        ret[n++] = (struct http2_header){head->fields[i].name, head->fields[i].value};
    *ret_n = n;
    return 0;
}

int http2_request_write(const struct http_head *head, struct http2_header ret[HTTP2_HEADERS_MAX],
                        size_t *ret_n)
{
    size_t n = 0;
    ret[n++] = (struct http2_header){TEXT(":method"), head->method};
    ret[n++] =
        (struct http2_header){TEXT(":scheme"), head->scheme.len > 0 ? head->scheme : TEXT("http")};
    if (head->authority.len > 0)
        ret[n++] = (struct http2_header){TEXT(":authority"), head->authority};
    ret[n++] = (struct http2_header){TEXT(":path"), head->path};
    return write_fields(head, ret, n, ret_n);
}

int http2_answer_write(const struct http_head *head, char digits[HTTP2_STATUS_BYTES],
                       struct http2_header ret[HTTP2_HEADERS_MAX], size_t *ret_n)
{
    digits[0] = (char)('0' + head->status / 100 % 10);
    digits[1] = (char)('0' + head->status / 10 % 10);
    digits[2] = (char)('0' + head->status % 10);
    ret[0] = (struct http2_header){TEXT(":status"), {digits, HTTP2_STATUS_BYTES}};
    return write_fields(head, ret, 1, ret_n);
}

int http2_trailers_write(const struct http_head *trailers,
                         struct http2_header ret[HTTP2_HEADERS_MAX], size_t *ret_n)
{
    return write_fields(trailers, ret, 0, ret_n);
}
