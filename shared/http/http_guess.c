#include "shared/http/http_guess.h"

enum { METHOD_MAX = 20 };

/* As far as both go. */
static enum http_guess compare(const char *data, size_t len, struct text wanted)
{
    if (memcmp(data, wanted.data, len < wanted.len ? len : wanted.len) != 0)
        return HTTP_GUESS_NO;
    return len < wanted.len ? HTTP_GUESS_MORE : HTTP_GUESS_YES;
}

static size_t span(const char *data, size_t len, char first, char last)
{
    size_t n = 0;
    while (n < len && data[n] >= first && data[n] <= last)
        n++;
    return n;
}

static enum http_guess version(const char *data, size_t len)
{
    const struct text wanted = TEXT(" HTTP/1.");
    enum http_guess guess = compare(data, len, wanted);
    if (guess != HTTP_GUESS_YES)
        return guess;
    if (len == wanted.len)
        return HTTP_GUESS_MORE;
    return data[wanted.len] == '0' || data[wanted.len] == '1' ? HTTP_GUESS_YES : HTTP_GUESS_NO;
}

static enum http_guess request_line(const char *data, size_t len)
{
    size_t method = span(data, len, 'A', 'Z');
    if (method > METHOD_MAX)
        return HTTP_GUESS_NO;
    if (method == len)
        return HTTP_GUESS_MORE;
    if (method == 0 || data[method] != ' ')
        return HTTP_GUESS_NO;
    const char *target = data + method + 1;
    size_t left = len - method - 1;
    if (left == 0)
        return HTTP_GUESS_MORE;
    if (*target != '/' && *target != '*')
        return HTTP_GUESS_NO;
    size_t n = span(target, left, '!', '~');
    return n == left ? HTTP_GUESS_MORE : version(target + n, left - n);
}

enum http_guess http_guess(const char *data, size_t len)
{
    size_t looked_at = len < HTTP_GUESS_MAX ? len : HTTP_GUESS_MAX;
    if (looked_at == 0)
        return HTTP_GUESS_MORE;
    enum http_guess guess = compare(data, looked_at, TEXT("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"));
    if (guess == HTTP_GUESS_NO)
        guess = request_line(data, looked_at);
    /* Nothing but a request begins with a method and so long a path. */
    return guess == HTTP_GUESS_MORE && looked_at == HTTP_GUESS_MAX ? HTTP_GUESS_YES : guess;
}

enum http_guess http_guess_server(const char *data, size_t len)
{
    /* Its length (some entries of six bytes, of which we believe 42), type, flags and stream. */
    static const unsigned char most[] = {0, 0, 252, 4, 0, 0, 0, 0, 0};
    for (size_t i = 0; i < sizeof most; i++) {
        if (i == len)
            return HTTP_GUESS_MORE;
        unsigned char b = (unsigned char)data[i];
        if (i == 2 ? b > most[i] || b % 6 != 0 : b != most[i])
            return HTTP_GUESS_NO;
    }
    return HTTP_GUESS_YES;
}
