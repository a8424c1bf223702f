#include "shared/xds/wire.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

int wire_refuse(char why[static XDS_WHY_MAX], const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(why, XDS_WHY_MAX, format, arguments);
    va_end(arguments);
    return -EINVAL;
}

int wire_no_memory(char why[static XDS_WHY_MAX])
{
    (void)wire_refuse(why, "out of memory");
    return -ENOMEM;
}

struct walk {
    const uint8_t *at, *end;
    bool strict;
};

static int refuse_at(const struct place *p, const char *sentence, char why[static XDS_WHY_MAX])
{
    return place_refuse(p, why, "%s", sentence);
}

static bool take_varint(struct walk *w, uint64_t *ret)
{
    uint64_t value = 0;

    for (unsigned shift = 0; shift < 64 && w->at < w->end; shift += 7) {
        uint8_t byte = *w->at++;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *ret = value;
            return true;
        }
    }
    return false;
}

/* Takes the value of a field; for a length-delimited one *ret_inner is its content. */
static bool take_value(struct walk *w, unsigned wire_type, struct walk *ret_inner)
{
    uint64_t value;
    size_t len;

    switch (wire_type) {
    case PROTOBUF_C_WIRE_TYPE_VARINT:
        return take_varint(w, &value);
    case PROTOBUF_C_WIRE_TYPE_64BIT:
        len = 8;
        break;
    case PROTOBUF_C_WIRE_TYPE_32BIT:
        len = 4;
        break;
    case PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED:
        if (!take_varint(w, &value) || value > (uint64_t)(w->end - w->at))
            return false;
        len = (size_t)value;
        *ret_inner = (struct walk){w->at, w->at + len, w->strict};
        break;
    default: /* groups were never in proto3 */
        return false;
    }
    if (len > (size_t)(w->end - w->at))
        return false;
    w->at += len;
    return true;
}

static bool wire_type_fits(const ProtobufCFieldDescriptor *field, unsigned wire_type)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_BYTES:
    case PROTOBUF_C_TYPE_MESSAGE:
        return wire_type == PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED;
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_BOOL:
    case PROTOBUF_C_TYPE_ENUM:
        return wire_type == PROTOBUF_C_WIRE_TYPE_VARINT ||
               (wire_type == PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED &&
                field->label == PROTOBUF_C_LABEL_REPEATED);
    case PROTOBUF_C_TYPE_DOUBLE:
        return wire_type == PROTOBUF_C_WIRE_TYPE_64BIT;
    default: /* of the other types our messages have none */
        return false;
    }
}

/* A field that is not to be left out in silence: what is wrong with that. */
static const char *unfit(const ProtobufCMessageDescriptor *type,
                         const ProtobufCFieldDescriptor *field)
{
    if (strncmp(type->name, "google.", strlen("google.")) == 0)
        return NULL;
    if (!field)
        return "is not known here";
    return field->flags & PROTOBUF_C_FIELD_FLAG_DEPRECATED ? "is not supported here" : NULL;
}

enum { FIELDS_MAX = 80 }; /* of a message whose places are counted */

static int check_string(const struct place *here, struct text t, char why[static XDS_WHY_MAX])
{
    if (t.len > WIRE_STRING_MAX)
        return refuse_at(here, "is longer than 1 MiB", why);
    if (memchr(t.data, '\0', t.len) || !text_is_utf8(t))
        return refuse_at(here, "must be UTF-8 text without NUL", why);
    return 0;
}

/* Messages of ours do not contain themselves, so the depth is that of the descriptions. */
static int check(const ProtobufCMessageDescriptor *type, struct walk w,
                 const struct place *outer, char why[static XDS_WHY_MAX])
{
    uint32_t counts[FIELDS_MAX] = {0};
    while (w.at < w.end) {
        uint64_t tag;
        struct walk inner = {0};
        char unknown[32] = "unknown field";
        if (!take_varint(&w, &tag) || tag >> 3 == 0 || tag >> 3 > 0x1fffffff)
            return refuse_at(outer, "not a protobuf message", why);
        const ProtobufCFieldDescriptor *field =
            protobuf_c_message_descriptor_get_field(type, (unsigned)(tag >> 3));
        if (!field && w.strict)
            (void)snprintf(unknown, sizeof unknown, "field %u", (unsigned)(tag >> 3));
        struct place here = {outer, field ? field->name : unknown, PLACE_SINGLE};
        size_t place = field ? (size_t)(field - type->fields) : FIELDS_MAX;
        if (w.strict && field && field->label == PROTOBUF_C_LABEL_REPEATED && place < FIELDS_MAX)
            here.index = counts[place]++;
        unsigned wire_type = (unsigned)(tag & 7);
        const char *wrong = w.strict ? unfit(type, field) : NULL;
        if (wrong)
            return refuse_at(&here, wrong, why);
        if (!take_value(&w, wire_type, &inner))
            return refuse_at(&here, "ends too early, or is not protobuf", why);
        if (!field)
            continue;
        if (!wire_type_fits(field, wire_type))
            return refuse_at(&here, "has another wire type than this field has", why);
        int r = 0;
        if (field->type == PROTOBUF_C_TYPE_STRING)
            r = check_string(
                &here,
                (struct text){(const char *)inner.at, inner.at ? (size_t)(inner.end - inner.at) : 0},
                why);
        else if (field->type == PROTOBUF_C_TYPE_MESSAGE)
            r = check(field->descriptor, inner, &here, why);
        if (r < 0)
            return r;
    }
    return 0;
}

static void *allocate(void *arena, size_t size)
{
    return arena_take(arena, size);
}

static void leave(void *arena, void *pointer)
{
    (void)arena;
    (void)pointer;
}

static int unpack(const ProtobufCMessageDescriptor *type, const uint8_t *data, size_t len,
                  struct arena *a, const ProtobufCMessage **ret, char why[static XDS_WHY_MAX])
{
    ProtobufCAllocator allocator = {allocate, leave, a};
    const ProtobufCMessage *m = protobuf_c_message_unpack(type, &allocator, len, data);
    if (!m && a->no_memory)
        return wire_no_memory(why);
    if (!m && a->full)
        return wire_refuse(why, "%s: has too many parts for its size", type->short_name);
    if (!m)
        return wire_refuse(why, "%s: not a protobuf message", type->short_name);
    *ret = m;
    return 0;
}

static const uint8_t nothing[1];

int wire_unpack(const ProtobufCMessageDescriptor *type, const uint8_t *data, size_t len,
                struct arena *a, const ProtobufCMessage **ret, char why[static XDS_WHY_MAX])
{
    struct place root = {NULL, type->short_name, PLACE_SINGLE};

    if (len == 0)
        data = nothing;
    int r = check(type, (struct walk){data, data + len, false}, &root, why);
    return r < 0 ? r : unpack(type, data, len, a, ret, why);
}

int wire_unpack_strictly(const ProtobufCMessageDescriptor *type, const uint8_t *data, size_t len,
                         struct arena *a, const struct place *at, const ProtobufCMessage **ret,
                         char why[static XDS_WHY_MAX])
{
    if (len == 0)
        data = nothing;
    int r = check(type, (struct walk){data, data + len, true}, at, why);
    return r < 0 ? r : unpack(type, data, len, a, ret, why);
}

int wire_pack(const ProtobufCMessage *m, struct xds_bytes *ret)
{
    size_t len = protobuf_c_message_get_packed_size(m);
    uint8_t *data = malloc(len ? len : 1);

    if (!data)
        return -ENOMEM;
    (void)protobuf_c_message_pack(m, data);
    *ret = (struct xds_bytes){data, len};
    return 0;
}

void xds_bytes_done(struct xds_bytes *b)
{
    free(b->data);
    *b = (struct xds_bytes){0};
}
