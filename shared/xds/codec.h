/*
 * What the codecs of Envoy's messages share: values that many messages have <-> the nouns of
 * shared/mesh. A reader copies into the arena of the noun that it fills; what can't be honoured is
 * refused with its place. A writer makes messages in an arena of its own; without memory it makes
 * NULL and remembers so. For files of this folder alone.
 */
#ifndef SHARED_XDS_CODEC_H
#define SHARED_XDS_CODEC_H
#include "core.pb-c.h"
#include "google/protobuf/any.pb-c.h"
#include "matcher.pb-c.h"
#include "shared/mesh/text_match.h"
#include "shared/xds/wire.h"
#include "type.pb-c.h"

typedef Envoy__Config__Core__V3__Metadata Metadata;
typedef Envoy__Type__V3__FractionalPercent FractionalPercent;
typedef Envoy__Type__Matcher__V3__StringMatcher StringMatcher;
typedef Google__Protobuf__Duration Duration;

struct reader {
    struct arena *arena;   /* of the noun */
    struct arena *scratch; /* of unpacked messages */
    char *why;             /* XDS_WHY_MAX */
};
int decode_no_memory(const struct reader *r); /* or the arena is full: -EINVAL */
/* n zeroed elements of *ret; n 0: NULL. */
int decode_list(struct reader *r, const struct place *at, size_t n, size_t max, size_t size,
                void **ret);
int decode_text(struct reader *r, const char *s, struct text *ret);
int decode_texts(struct reader *r, const struct place *at, char *const *values, size_t n,
                 size_t max, struct text **ret, size_t *ret_n);
/* NULL leaves *ret_ms as it is. What is below a millisecond counts as one. */
int decode_duration(struct reader *r, const struct place *at, const Duration *d, uint64_t *ret_ms);
int decode_u32(struct reader *r, const struct place *at, const Google__Protobuf__UInt32Value *v,
               uint32_t max, uint32_t *ret); /* NULL leaves it */
int decode_fraction(struct reader *r, const struct place *at, const FractionalPercent *p,
                    struct fraction *ret);
int decode_string_match(struct reader *r, const struct place *at, const StringMatcher *m,
                        struct text_match *ret);
int decode_labels(struct reader *r, const struct place *at, const Google__Protobuf__Struct *s,
                  size_t max, struct label **ret, size_t *ret_n);
/* Of the filter's part of the metadata; nothing if there is none. */
int decode_metadata(struct reader *r, const struct place *at, const Metadata *m, const char *filter,
                    size_t max, struct label **ret, size_t *ret_n);
/* As encode_typed_metadata() writes it, or of typed_filter_metadata; *ret NULL: there is none of this name. */
int decode_typed_metadata(struct reader *r, const struct place *at, const Metadata *m,
                          const char *name, const ProtobufCMessageDescriptor *type,
                          const ProtobufCMessage **ret);
int decode_enum(struct reader *r, const struct place *at, int value, int max);
/* The message in an Any, which must be of this type. */
int decode_any(struct reader *r, const struct place *at, const Google__Protobuf__Any *any,
               const ProtobufCMessageDescriptor *type, const ProtobufCMessage **ret);
bool any_is(const Google__Protobuf__Any *any, const ProtobufCMessageDescriptor *type);

struct writer {
    struct arena *arena;
    bool failed;
};
void *encode_message(struct writer *w, const ProtobufCMessageDescriptor *type);
void *encode_list(struct writer *w, size_t n, size_t size); /* n 0: NULL */
char *encode_text(struct writer *w, struct text t);
char **encode_texts(struct writer *w, const struct text *texts, size_t n);
Duration *encode_duration(struct writer *w, uint64_t ms); /* 0: one of 0 s */
Google__Protobuf__UInt32Value *encode_u32(struct writer *w, uint32_t v);
Google__Protobuf__UInt64Value *encode_u64(struct writer *w, uint64_t v);
Google__Protobuf__BoolValue *encode_bool(struct writer *w, bool v);
FractionalPercent *encode_fraction(struct writer *w, struct fraction f);
StringMatcher *encode_string_match(struct writer *w, const struct text_match *m);
Google__Protobuf__Struct *encode_labels(struct writer *w, const struct label *labels, size_t n);
/* One filter's part; nothing for no labels. Makes the metadata where it is NULL. */
void encode_add_metadata(struct writer *w, Metadata **m, const char *filter,
                         const struct label *labels, size_t n);
/* A message of ours as metadata with nothing else in it: a Struct whose one field has the message's name and, in
 * hexadecimal digits, its bytes. An Any would be shorter, but Envoy can't dump one of a type that it does not have, and
 * then dumps nothing. NULL: `m` is, or no memory. */
Metadata *encode_typed_metadata(struct writer *w, const char *name, const ProtobufCMessage *m);
Google__Protobuf__Any *encode_any(struct writer *w, const ProtobufCMessage *m);
Envoy__Config__Core__V3__ConfigSource *encode_ads(struct writer *w);
Envoy__Config__Core__V3__Address *encode_address(struct writer *w, struct text host, uint16_t port);
/* The whole as bytes; ends the writer. */
int encode_done(struct writer *w, const ProtobufCMessage *m, struct xds_bytes *ret);
#endif
