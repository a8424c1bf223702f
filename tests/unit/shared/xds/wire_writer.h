/*
 * Protobuf written by hand: tags, varints and lengths, by field numbers out of the public tables
 * and nothing else. So a wrong number in our .proto files is seen. Submessages are written into a
 * writer of their own first.
 */
#ifndef TESTS_UNIT_SHARED_XDS_WIRE_WRITER_H
#define TESTS_UNIT_SHARED_XDS_WIRE_WRITER_H
#include "shared/base/text.h"
#include "tests/unit/shared/base/test.h"

struct wire_writer {
    uint8_t data[4096];
    size_t len;
};
static inline void put_byte(struct wire_writer *w, uint8_t byte)
{
    assert_true(w->len < sizeof w->data);
    w->data[w->len++] = byte;
}
static inline void put_varint(struct wire_writer *w, uint64_t value)
{
    for (; value > 0x7f; value >>= 7)
        put_byte(w, (uint8_t)(value | 0x80));
    put_byte(w, (uint8_t)value);
}
static inline void field_number(struct wire_writer *w, unsigned field, uint64_t value)
{
    put_varint(w, (uint64_t)field << 3);
    put_varint(w, value);
}
static inline void field_bytes(struct wire_writer *w, unsigned field, const void *data, size_t len)
{
    put_varint(w, (uint64_t)field << 3 | 2);
    put_varint(w, len);
    for (size_t i = 0; i < len; i++)
        put_byte(w, ((const uint8_t *)data)[i]);
}
static inline void field_text(struct wire_writer *w, unsigned field, const char *text)
{
    field_bytes(w, field, text, strlen(text));
}
static inline void field_message(struct wire_writer *w, unsigned field, const struct wire_writer *m)
{
    field_bytes(w, field, m->data, m->len);
}
/* Fields that nobody has, of every wire type. */
static inline void unknown_fields(struct wire_writer *w)
{
    field_number(w, 1000, 7);
    field_text(w, 1001, "unknown");
    put_varint(w, 1002 << 3 | 1); /* 64 bits */
    for (unsigned i = 0; i < 8; i++)
        put_byte(w, (uint8_t)i);
    put_varint(w, 1003 << 3 | 5); /* 32 bits */
    for (unsigned i = 0; i < 4; i++)
        put_byte(w, (uint8_t)i);
}

/* Where the fields of a message end: cut there, it is a message still. */
static inline bool whole_fields(const uint8_t *data, size_t len)
{
    size_t at = 0;

    while (at < len) {
        uint64_t tag = 0, value = 0;
        unsigned shift = 0;
        do {
            if (at == len)
                return false;
            tag |= (uint64_t)(data[at] & 0x7f) << shift;
            shift += 7;
        } while (data[at++] & 0x80);
        shift = 0;
        if ((tag & 7) == 1 || (tag & 7) == 5) {
            value = (tag & 7) == 1 ? 8 : 4;
        } else {
            do {
                if (at == len)
                    return false;
                value |= (uint64_t)(data[at] & 0x7f) << shift;
                shift += 7;
            } while (data[at++] & 0x80);
            if ((tag & 7) == 0)
                value = 0;
        }
        if (value > len - at)
            return false;
        at += value;
    }
    return true;
}

/* A copy of exactly this size, so that a read beyond its end is seen. */
static inline uint8_t *exact_copy(const uint8_t *data, size_t len)
{
    uint8_t *copy = malloc(len ? len : 1);
    assert_non_null(copy);
    if (len)
        memcpy(copy, data, len);
    return copy;
}
#endif
