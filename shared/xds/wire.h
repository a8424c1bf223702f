/*
 * Bytes <-> unpacked messages, of this folder. protobuf-c checks little; before it unpacks, the
 * bytes are walked along the message's description: strings must be UTF-8 without NUL and have a
 * maximum (proto3 asks for the former), wire types must fit. So a bad message is refused with the
 * name of the field.
 */
#ifndef SHARED_XDS_WIRE_H
#define SHARED_XDS_WIRE_H
#include "shared/base/arena.h"
#include "shared/xds/xds.h"
#include <protobuf-c/protobuf-c.h>

enum { WIRE_STRING_MAX = 1024 * 1024 };

/* -EINVAL, -ENOMEM, with why. The message lives in the arena. */
int wire_unpack(const ProtobufCMessageDescriptor *type, const uint8_t *data, size_t len,
                struct arena *a, const ProtobufCMessage **ret, char why[static XDS_WHY_MAX]);
int wire_pack(const ProtobufCMessage *m, struct xds_bytes *ret); /* -ENOMEM */
/* Writes the sentence and returns -EINVAL, for `return wire_refuse(...)`. */
int wire_refuse(char why[static XDS_WHY_MAX], const char *format, ...)
    __attribute__((format(printf, 2, 3)));
int wire_no_memory(char why[static XDS_WHY_MAX]); /* -ENOMEM */
#endif
