#include "shared/http1/http1_check.h"
#include "shared/base/list.h"
#include "shared/http/http_grammar.h"
#include "shared/http/http_hop.h"
#include <errno.h>

enum { VERSION_LEN = 8 };

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* "HTTP/1.0" and "HTTP/1.1"; another digit or two is another version: -505. */
static int read_version(struct text t, unsigned *ret_minor)
{
    if (t.len != VERSION_LEN || !text_starts_with(t, TEXT("HTTP/")) || !is_digit(t.data[5]) ||
        t.data[6] != '.' || !is_digit(t.data[7]))
        return -400;
    if (t.data[5] != '1' || t.data[7] > '1')
        return -505;
    *ret_minor = (unsigned)(t.data[7] - '0');
    return 0;
}

int http1_check_request_line(struct text line, struct http1_request_line *ret)
{
    struct text version;
    if (!text_split(line, ' ', &ret->method, &line) ||
        !text_split(line, ' ', &ret->target, &version) || !http_is_token(ret->method) ||
        ret->target.len == 0)
        return -400;
    return read_version(version, &ret->minor);
}

int http1_check_status_line(struct text line, struct http1_status_line *ret)
{
    struct text version = {line.data, VERSION_LEN}, code = {line.data + VERSION_LEN + 1, 3};
    uint64_t status;
    if (line.len < VERSION_LEN + 4 || read_version(version, &ret->minor) < 0 ||
        line.data[VERSION_LEN] != ' ' || (line.len > VERSION_LEN + 4 && code.data[3] != ' ') ||
        text_to_u64(code, 599, &status) < 0 || status < 100)
        return -400;
    ret->status = (unsigned)status;
    return 0;
}

int http1_check_framing(const struct http1_framing_fields *f, unsigned minor,
                        enum http1_framing *ret, uint64_t *ret_length)
{
    *ret = HTTP1_UNTOLD;
    if (f->n_content_lengths > 1 || f->n_transfer_encodings > 1 ||
        (f->n_content_lengths && f->n_transfer_encodings))
        return -400;
    if (f->n_transfer_encodings) {
        if (minor == 0)
            return -400; /* section 6.1: the framing is faulty */
        if (!text_equal_nocase(f->transfer_encoding, TEXT("chunked")))
            return -501;
        *ret = HTTP1_CHUNKED;
    } else if (f->n_content_lengths) {
        if (text_to_u64(f->content_length, INT64_MAX, ret_length) < 0)
            return -400;
        *ret = HTTP1_LENGTH;
    }
    return 0;
}

/* "http://host/path?query"; the path may be missing (section 3.2.2). */
static int read_absolute(struct http_head *head, struct text target, struct text scheme,
                         struct text host)
{
    struct text rest = target, authority;
    if (!text_split(target, ':', &authority, &rest) || !text_equal_nocase(authority, scheme) ||
        !text_starts_with(rest, TEXT("//")))
        return -400;
    rest = (struct text){rest.data + 2, rest.len - 2};
    size_t n = 0;
    while (n < rest.len && rest.data[n] != '/' && rest.data[n] != '?')
        n++;
    authority = (struct text){rest.data, n};
    rest = (struct text){rest.data + n, rest.len - n};
    if (authority.len == 0 || (host.data && !text_equal_nocase(authority, host)))
        return -400;
    head->authority = authority;
    if (rest.len == 0) {
        head->path = text_equal(head->method, TEXT("OPTIONS")) ? TEXT("*") : TEXT("/");
    } else if (rest.data[0] == '?') {
        char *path;
        int r = http_head_alloc(head, rest.len + 1, &path);
        if (r < 0)
            return r == -ENOMEM ? -503 : -431;
        path[0] = '/';
        memcpy(path + 1, rest.data, rest.len);
        head->path = (struct text){path, rest.len + 1};
    } else {
        head->path = rest;
    }
    return 0;
}

int http1_check_target(struct http_head *head, struct text target, unsigned minor,
                       struct text scheme, const struct http1_framing_fields *f)
{
    if (text_equal(head->method, TEXT("CONNECT")))
        return -405;
    if (f->n_hosts > 1 || (f->n_hosts == 0 && minor > 0) ||
        (f->host.len > 0 && !http_is_authority(f->host)))
        return -400;
    head->scheme = scheme;
    head->authority = f->host;
    head->path = target;
    if (target.data[0] != '/' && !text_equal(target, TEXT("*"))) {
        int r = read_absolute(head, target, scheme, f->host);
        if (r < 0)
            return r;
        if (!http_is_authority(head->authority))
            return -400;
    }
    if (!http_is_path(head->path) ||
        (text_equal(head->path, TEXT("*")) && !text_equal(head->method, TEXT("OPTIONS"))))
        return -400;
    return 0;
}

bool http1_is_trailer(struct text name)
{
    static const struct text none[] = {
        {"content-length", 14}, {"host", 4},          {"te", 2},
        {"trailer", 7},         {"expect", 6},        {"authorization", 13},
        {"content-type", 12},   {"max-forwards", 12}, {"content-encoding", 16},
        {"content-range", 13},  {"cookie", 6},        {"set-cookie", 10},
    };
    for (size_t i = 0; i < ARRAY_SIZE(none); i++)
        if (text_equal(name, none[i]))
            return false;
    return !http_hop_is(name);
}
