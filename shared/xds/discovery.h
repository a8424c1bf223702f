/*
 * What the messages of delta.h and sotw.h have in common, whichever way they are told: an arena of
 * their own, bounds (XDS_RESOURCES_MAX entries, XDS_NAME_MAX bytes), who asks, and why something was
 * refused. For files of this folder alone.
 */
#ifndef SHARED_XDS_DISCOVERY_H
#define SHARED_XDS_DISCOVERY_H
#include "ads.pb-c.h"
#include "shared/xds/delta.h"
#include "shared/xds/wire.h"

/* As wire_unpack(), into an arena that the caller frees. */
int discovery_unpack(const ProtobufCMessageDescriptor *type, const uint8_t *data, size_t len,
                     struct arena **ret_arena, const ProtobufCMessage **ret,
                     char why[static XDS_WHY_MAX]);
/* n zeroed elements of *ret, which a message says in this field. */
int discovery_list(struct arena *a, const char *field, size_t n, size_t size, void **ret,
                   char why[static XDS_WHY_MAX]);
int discovery_check_text(const char *field, const char *text, char why[static XDS_WHY_MAX]);
int discovery_check_names(const char *field, char *const *names, size_t n,
                          char why[static XDS_WHY_MAX]);

/* Parts that a message may lack: checked; and made for it, NULL where there is nothing to say. */
int discovery_check_node(const Envoy__Config__Core__V3__Node *node, char why[static XDS_WHY_MAX]);
Envoy__Config__Core__V3__Node *discovery_node(Envoy__Config__Core__V3__Node *made, char *id,
                                              char *cluster);
/* Of its metadata. Encoded into `made` and `of`, which live as long as the message; NULL: it does not ask. */
int discovery_machine_read(const Envoy__Config__Core__V3__Node *node, struct delta_machine *ret, char why[static XDS_WHY_MAX]);
struct discovery_metadata {
    Google__Protobuf__Struct made;
    Google__Protobuf__Struct__FieldsEntry entries[4], *list[4];
    Google__Protobuf__Value values[4];
};
Google__Protobuf__Struct *discovery_machine(struct discovery_metadata *made, const struct delta_machine *of);
Google__Rpc__Status *discovery_error(Google__Rpc__Status *made, bool has_error, int32_t code,
                                     char *message);
#endif
