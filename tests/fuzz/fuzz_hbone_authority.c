/*
 * The :authority of a CONNECT. What is taken has a port and is either an address, which printed gives
 * the same address again, or a name of harmless characters that holds a letter; what is not taken
 * leaves nothing behind.
 * covers: nodeproxy/peer/hbone.c shared/base/addr.c
 */
#include "nodeproxy/peer/hbone.h"
#include <assert.h>
#include <errno.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_name(struct text t, const struct hbone_authority *a)
{
    bool letter = false;
    assert(a->addr.ip.len == 0 && a->host.len > 0 && a->host.len <= 253);
    assert(a->host.data == t.data && a->host.len < t.len && t.data[a->host.len] == ':');
    for (size_t i = 0; i < a->host.len; i++) {
        char c = a->host.data[i];
        bool digit = c >= '0' && c <= '9', alpha = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        assert(digit || alpha || c == '-' || c == '.' || c == '_');
        letter |= alpha || c == '_';
    }
    assert(letter);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct text t = {(const char *)data, size};
    struct hbone_authority a = {.addr.port = 7}, again;
    char printed[ADDR_TEXT_MAX];

    int r = hbone_authority_parse(t, &a);
    if (r < 0) {
        assert(r == -EINVAL && a.addr.port == 7 && !a.is_name && !a.host.data);
        return 0;
    }
    assert(size < HBONE_AUTHORITY_MAX && a.addr.port > 0);
    if (a.is_name) {
        check_name(t, &a);
        return 0;
    }
    assert(a.addr.ip.len == 4 || a.addr.ip.len == 16);
    addr_print(&a.addr, printed);
    r = hbone_authority_parse(text_of(printed), &again);
    assert(r == 0 && !again.is_name && addr_equal(&again.addr, &a.addr));
    return 0;
}
