#include "shared/http/http_grammar.h"
#include "shared/http/http_hop.h"
#include "shared/http1/http1_internal.h"

/* What Connection and Upgrade say, and then they go. RFC 9110 sections 7.6.1 and 7.8. */
static int take_connection_fields(struct http1_codec *c, struct text *ret_protocol)
{
    const struct http_field *f;
    struct text protocol = {NULL, 0}, more, element;
    bool upgrade = false;
    size_t n = 0;
    for (size_t at = 0; (f = http_head_next(c->head, TEXT("connection"), &at));) {
        c->wants_close |= http_list_has(f->value, TEXT("close"));
        c->wants_keep_alive |= http_list_has(f->value, TEXT("keep-alive"));
        upgrade |= http_list_has(f->value, TEXT("upgrade"));
    }
    for (size_t at = 0; (f = http_head_next(c->head, TEXT("upgrade"), &at)); n++) {
        more = f->value;
        if (!http_list_next(&more, &protocol) || http_list_next(&more, &element))
            n++;
    }
    /* One or none: of several we would have to choose. HTTP/2 is not begun like this (RFC 9113
     * section 3.1). */
    if (upgrade && n == 1 && http_is_token(protocol) && protocol.len < PROTOCOL_MAX &&
        !text_equal_nocase(protocol, TEXT("h2c")) && !text_equal_nocase(protocol, TEXT("h2"))) {
        http1_lower(protocol);
        *ret_protocol = protocol;
    }
    return http_hop_strip(c->head) < 0 ? -400 : 0;
}

static bool has_body(enum http1_framing framing, uint64_t length)
{
    return framing == HTTP1_CHUNKED || (framing == HTTP1_LENGTH && length > 0);
}

static void begin_body(struct http1_codec *c, enum http1_framing framing, uint64_t length)
{
    if (!has_body(framing, length)) {
        c->reading = READ_END_DUE;
    } else if (framing == HTTP1_LENGTH) {
        c->reading = READ_LENGTH;
        c->left = length;
    } else {
        c->reading = READ_CHUNK_LINE;
        c->extensions_len = 0;
    }
}

static int judge_expect(struct http1_codec *c, bool body)
{
    struct http_head *head = c->head;
    size_t at = 0;
    const struct http_field *f = http_head_next(head, TEXT("expect"), &at);
    if (!f)
        return 0;
    if (!text_equal_nocase(f->value, TEXT("100-continue")) ||
        http_head_next(head, TEXT("expect"), &at))
        return -417;
    if (c->minor == 0 || !body) /* RFC 9110 section 10.1.1: nobody waits for it */
        http_head_remove(head, TEXT("expect"));
    return 0;
}

int http1_judge_request(struct http1_codec *c, enum http1_framing *ret_framing,
                        uint64_t *ret_length)
{
    struct http_head *head = c->head;
    struct http1_request_line line;
    struct text protocol = {NULL, 0}, scheme = c->https ? TEXT("https") : TEXT("http");
    int r = http1_check_request_line((struct text){c->raw, c->first_line_len}, &line);
    if (r < 0)
        return r;
    head->method = line.method;
    r = http1_check_target(head, line.target, c->minor, scheme, &c->framing);
    if (r == 0)
        r = http1_check_framing(&c->framing, c->minor, ret_framing, ret_length);
    if (r == 0 && c->hop_fields)
        r = take_connection_fields(c, &protocol);
    if (r < 0)
        return r;
    bool body = has_body(*ret_framing, *ret_length);
    if (body && text_equal(head->method, TEXT("TRACE")))
        return -400; /* RFC 9110 section 9.3.8 */
    c->asked_head = text_equal(head->method, TEXT("HEAD"));
    c->keep_alive = !c->wants_close && (c->minor > 0 || c->wants_keep_alive);
    begin_body(c, *ret_framing, *ret_length);
    if (c->upgrades && protocol.data && c->minor > 0 && !body) {
        head->protocol = protocol;
        memcpy(c->protocol, protocol.data, protocol.len);
        c->protocol[protocol.len] = '\0';
        c->reading = READ_HELD;
    }
    return judge_expect(c, body);
}

/* 1xx, 204, 304 and what answers HEAD have no body, whatever they say of one (RFC 9112 section
 * 6.3). */
static int judge_bodyless(struct http1_codec *c, enum http1_framing framing, uint64_t length,
                          struct text protocol)
{
    unsigned status = c->head->status;
    if (status < 200 && framing != HTTP1_UNTOLD)
        return -400;
    if (status == 101) {
        if (!c->protocol[0] || !text_equal(protocol, text_of(c->protocol)))
            return -400;
        c->head->protocol = protocol;
        c->reading = READ_RAW;
        c->keep_alive = false;
        http1_upgraded(c, true);
        return 0;
    }
    if (status < 200) {
        c->reading = READ_BEGIN;
        return ++c->n_interim > INTERIM_MAX ? -400 : 0;
    }
    if (status == 204) {
        /* Said wrongly: there may be a body after all, so nothing is read after this. */
        c->keep_alive &= !has_body(framing, length);
        http_head_remove(c->head, TEXT("content-length"));
    }
    c->reading = READ_END_DUE;
    return 0;
}

int http1_judge_answer(struct http1_codec *c, enum http1_framing *ret_framing, uint64_t *ret_length,
                       bool *ret_bodyless)
{
    struct http1_status_line line;
    struct text protocol = {NULL, 0};
    int r = http1_check_status_line((struct text){c->raw, c->first_line_len}, &line);
    if (r < 0)
        return r;
    unsigned status = c->head->status = line.status;
    r = http1_check_framing(&c->framing, c->minor, ret_framing, ret_length);
    if (r == 0 && c->hop_fields)
        r = take_connection_fields(c, &protocol);
    if (r < 0)
        return r;
    c->keep_alive = !c->wants_close && (c->minor > 0 || c->wants_keep_alive);
    if (status >= 200)
        http1_upgraded(c, false);
    *ret_bodyless = c->asked_head || status < 200 || status == 204 || status == 304;
    if (*ret_bodyless)
        return judge_bodyless(c, *ret_framing, *ret_length, protocol);
    if (*ret_framing == HTTP1_UNTOLD) {
        c->reading = READ_UNTIL_CLOSE;
        c->keep_alive = false;
    } else {
        begin_body(c, *ret_framing, *ret_length);
    }
    return 0;
}
