/*
 * The mesh as a controller's dump (/config_dump) tells it, as a directory that decisions can be asked of. Pure; the
 * directory is the caller's, and its thread is registered as a reader.
 */
#ifndef CONTROLLER_CTL_MESH_READ_H
#define CONTROLLER_CTL_MESH_READ_H
#include "shared/json/json.h"
#include "shared/mesh/directory.h"

/* -ENOMEM; -EINVAL: see error. What was read before it is in the directory. */
int mesh_read(const struct json *dump, struct directory *d, struct json_error *error);
#endif
