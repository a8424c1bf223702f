/*
 * Bytes <-> unpacked messages, of this folder. protobuf-c checks little; before it unpacks, the
 * bytes are walked along the message's description: strings must be UTF-8 without NUL and have a
 * maximum (proto3 asks for the former), wire types must fit. So a bad message is refused with the
 * name of the field.
 */
#ifndef SHARED_XDS_WIRE_H
#define SHARED_XDS_WIRE_H
#include "shared/base/arena.h"
#include "shared/mesh/place.h"
#include "shared/xds/xds.h"
#include <protobuf-c/protobuf-c.h>

enum { WIRE_STRING_MAX = 1024 * 1024 };

/* The most that a message of this length may unpack to: so many times its bytes, and some more. */
static inline size_t wire_space(size_t len, size_t growth)
{
    enum { SPACE_MIN = 64 * 1024 };
    return len * growth + SPACE_MIN;
}
/* -EINVAL, -ENOMEM, with why. The message lives in the arena. */
int wire_unpack(const ProtobufCMessageDescriptor *type, const uint8_t *data, size_t len,
                struct arena *a, const ProtobufCMessage **ret, char why[static XDS_WHY_MAX]);
int wire_pack(const ProtobufCMessage *m, struct xds_bytes *ret); /* -ENOMEM */
/* The same where nothing may be left out in silence (Envoy's messages): a field that the .proto file
 * lacks, or that it marks as deprecated, is refused. Google's own messages are excepted. `at` is
 * where the message stands, NULL: nowhere. */
int wire_unpack_strictly(const ProtobufCMessageDescriptor *type, const uint8_t *data, size_t len,
                         struct arena *a, const struct place *at, const ProtobufCMessage **ret,
                         char why[static XDS_WHY_MAX]);
/* Writes the sentence and returns -EINVAL, for `return wire_refuse(...)`. */
int wire_refuse(char why[static XDS_WHY_MAX], const char *format, ...)
    __attribute__((format(printf, 2, 3)));
int wire_no_memory(char why[static XDS_WHY_MAX]); /* -ENOMEM */
#endif
