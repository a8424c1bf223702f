/*
 * The messages between the data process and the warden, in both directions. The first byte says
 * which (its lowest bit), and how many descriptors are supposed to have come along. What is
 * understood must be the one way of saying it, and lie within the message.
 * covers: nodeproxy/warden/wire.c nodeproxy/capture/wire_client.c
 */
#include "nodeproxy/capture/wire_client.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

static void check_request(const uint8_t *data, size_t size, size_t n_fds)
{
    static unsigned char again[WIRE_BYTES_MAX];
    struct wire_request q;
    uint64_t id = wire_request_id(data, size);
    if (wire_decode_request(data, size, n_fds, &q) < 0)
        return;
    check(q.id == id);
    check(q.id != 0 && q.kind >= WIRE_HELLO && q.kind <= WIRE_NODE_RULES);
    check(q.count <= PACKET_FDS_MAX && q.n_addresses <= WIRE_ADDRESSES_MAX);
    if (q.path)
        check(strlen(q.path) < WIRE_PATH_MAX && q.path[0] == '/' &&
              (const uint8_t *)q.path + strlen(q.path) + 1 == data + size);
    for (size_t i = 0; i < q.n_addresses; i++) {
        char text[IP_TEXT_MAX];
        check(q.addresses[i].len == 4 || q.addresses[i].len == 16);
        check(ip_print(&q.addresses[i], text) == text);
    }
    check(wire_client_encode(&q, again) == size && memcmp(again, data, size) == 0);
}

static void check_answer(const uint8_t *data, size_t size)
{
    static unsigned char again[WIRE_BYTES_MAX];
    struct wire_answer a;
    if (wire_client_decode(data, size, &a) < 0)
        return;
    check(a.generation != 0 && a.result <= 0 && strlen(a.why) < sizeof a.why);
    check(wire_encode_answer(&a, again) == size && memcmp(again, data, size) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    /* A copy of its own length, so that reading past the end is seen. */
    uint8_t *message = malloc(size > 1 ? size - 1 : 1);
    check(message);
    memcpy(message, data + 1, size - 1);
    if (data[0] & 1)
        check_answer(message, size - 1);
    else
        check_request(message, size - 1, data[0] >> 1);
    free(message);
    return 0;
}
