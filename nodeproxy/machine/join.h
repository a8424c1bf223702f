/*
 * `weir-nodeproxy join`: a machine gets its identity from the CA by a token that is good once, and
 * keeps key and certificate in its state folder, from where the node proxy takes and renews them.
 * A program of its own, that ends.
 */
#ifndef NODEPROXY_MACHINE_JOIN_H
#define NODEPROXY_MACHINE_JOIN_H
#include "shared/credentials/svid_file.h"
#include <limits.h>

/* The file in the state folder; -ENAMETOOLONG. */
int join_file(const char *state_dir, char out[static PATH_MAX]);
int join_command(int argc, char **argv); /* the exit status */
#endif
