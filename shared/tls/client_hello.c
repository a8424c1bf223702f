#include "shared/tls/client_hello.h"
#include "shared/base/text.h"
#include <stdbool.h>
#include <string.h>

enum {
    RECORD_HANDSHAKE = 22,
    RECORD_HEADER = 5,
    RECORD_MAX = 16384,
    MESSAGE_CLIENT_HELLO = 1,
    MESSAGE_HEADER = 4,
    EXTENSION_SERVER_NAME = 0,
    NAME_HOST = 0,
    RANDOM_BYTES = 32,
    SESSION_ID_MAX = 32
};

/* What is left to read; `wrong`: less was there than was announced. */
struct span {
    const uint8_t *at;
    size_t len;
    bool wrong;
};

static const uint8_t *take(struct span *s, size_t n)
{
    const uint8_t *at = s->at;
    s->wrong |= s->len < n;
    if (s->wrong)
        return NULL;
    s->at += n;
    s->len -= n;
    return at;
}

static size_t number(struct span *s, size_t n_bytes)
{
    const uint8_t *at = take(s, n_bytes);
    size_t value = 0;
    for (size_t i = 0; at && i < n_bytes; i++)
        value = value << 8 | at[i];
    return value;
}

/* A part with its length in front. */
static struct span part(struct span *s, size_t n_bytes)
{
    size_t len = number(s, n_bytes);
    const uint8_t *at = take(s, len);
    return (struct span){at, at ? len : 0, !at};
}

/* ---- The message ---------------------------------------------------------------------------- */

static bool read_name(struct span name, char ret[static CLIENT_HELLO_NAME_MAX + 1])
{
    if (name.len == 0 || name.len > CLIENT_HELLO_NAME_MAX)
        return false;
    for (size_t i = 0; i < name.len; i++) {
        char c = text_lower((char)name.at[i]);
        bool known = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
                     (c == '.' && i > 0 && i + 1 < name.len && name.at[i - 1] != '.');
        if (!known)
            return false;
        ret[i] = c;
    }
    ret[name.len] = '\0';
    return true;
}

/* The list has one name of each kind, and there is but one kind. */
static bool read_server_name(struct span *extension, char ret[static CLIENT_HELLO_NAME_MAX + 1])
{
    struct span list = part(extension, 2);
    size_t kind = number(&list, 1);
    struct span name = part(&list, 2);
    return !name.wrong && !list.wrong && kind == NAME_HOST && list.len == 0 &&
           extension->len == 0 && read_name(name, ret);
}

static bool read_hello(struct span s, char ret[static CLIENT_HELLO_NAME_MAX + 1])
{
    bool named = false, wrong = false;
    (void)take(&s, 2 + RANDOM_BYTES);
    struct span session = part(&s, 1), ciphers = part(&s, 2), compressions = part(&s, 1);
    struct span extensions = part(&s, 2);
    if (s.wrong || extensions.wrong || s.len > 0 || session.len > SESSION_ID_MAX ||
        ciphers.len < 2 || ciphers.len % 2 != 0 || compressions.len == 0)
        return false;
    while (extensions.len > 0 && !wrong) {
        size_t kind = number(&extensions, 2);
        struct span one = part(&extensions, 2);
        wrong = extensions.wrong || one.wrong;
        if (wrong || kind != EXTENSION_SERVER_NAME)
            continue;
        wrong = named || !read_server_name(&one, ret);
        named = true;
    }
    return named && !wrong;
}

/* ---- The records that it comes in ------------------------------------------------------------ */

struct message { /* as far as it is there */
    uint8_t bytes[CLIENT_HELLO_BYTES_MAX];
    size_t len;
};

/* All of it, with its header; 0: that is not known yet; too much: it is none that can be read. */
static size_t message_size(const struct message *m)
{
    if (m->len > 0 && m->bytes[0] != MESSAGE_CLIENT_HELLO)
        return SIZE_MAX;
    if (m->len < MESSAGE_HEADER)
        return 0;
    return MESSAGE_HEADER + ((size_t)m->bytes[1] << 16 | (size_t)m->bytes[2] << 8 | m->bytes[3]);
}

enum client_hello client_hello_read(const uint8_t *bytes, size_t len,
                                    char ret_name[static CLIENT_HELLO_NAME_MAX + 1],
                                    size_t *ret_want)
{
    struct message m;
    size_t at = 0, size;
    m.len = 0;
    ret_name[0] = '\0';
    *ret_want = 0;
    while ((size = message_size(&m)) == 0 || m.len < size) {
        static const uint8_t begins[] = {RECORD_HANDSHAKE, 3};
        size_t left = len - at, header = left < sizeof begins ? left : sizeof begins;
        if (size > CLIENT_HELLO_BYTES_MAX || memcmp(bytes + at, begins, header) != 0)
            return CLIENT_HELLO_UNNAMED;
        *ret_want = at + RECORD_HEADER;
        if (left >= RECORD_HEADER) {
            size_t n = (size_t)bytes[at + 3] << 8 | bytes[at + 4];
            if (n == 0 || n > RECORD_MAX)
                return CLIENT_HELLO_UNNAMED;
            *ret_want += n;
        }
        if (*ret_want > CLIENT_HELLO_BYTES_MAX)
            return CLIENT_HELLO_UNNAMED;
        if (left < RECORD_HEADER || len < *ret_want)
            return CLIENT_HELLO_MORE;
        size_t n = *ret_want - at - RECORD_HEADER;
        memcpy(m.bytes + m.len, bytes + at + RECORD_HEADER, n); /* less than there came in */
        m.len += n;
        at = *ret_want;
    }
    const struct span body = {m.bytes + MESSAGE_HEADER, size - MESSAGE_HEADER, false};
    if (m.len == size && read_hello(body, ret_name))
        return CLIENT_HELLO_NAMED;
    ret_name[0] = '\0';
    return CLIENT_HELLO_UNNAMED;
}
