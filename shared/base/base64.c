/* Base 64; see the header. */
#include "shared/base/base64.h"

static char letter(unsigned sextet_value, bool url)
{
    unsigned s = sextet_value & 63;
    return (char)(s < 26    ? 'A' + s
                  : s < 52  ? 'a' + s - 26
                  : s < 62  ? '0' + s - 52
                  : s == 62 ? (url ? '-' : '+')
                            : (url ? '_' : '/'));
}

static void put(struct text_out *o, const uint8_t *data, size_t len, bool url)
{
    for (size_t i = 0; i < len; i += 3) {
        size_t n = len - i < 3 ? len - i : 3;
        uint32_t group = (uint32_t)data[i] << 16;
        if (n > 1)
            group |= (uint32_t)data[i + 1] << 8;
        if (n > 2)
            group |= data[i + 2];
        for (size_t k = 0; k < 4; k++)
            if (k <= n)
                text_putc(o, letter(group >> (18 - 6 * k), url));
            else if (!url)
                text_putc(o, '=');
    }
}

void base64_put(struct text_out *o, const uint8_t *data, size_t len)
{
    put(o, data, len, false);
}

void base64url_put(struct text_out *o, const uint8_t *data, size_t len)
{
    put(o, data, len, true);
}
