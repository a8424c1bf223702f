/*
 * The seccomp profile for containers that run Weir's programs, in the form that container runtimes
 * read (OCI runtime specification, "seccomp"): what those programs and the start of a container
 * need, io_uring among it, which most runtimes' own profiles refuse. `weir-nodeproxy
 * seccomp-profile FILE` writes it into the kubelet's folder. The processes of the node proxy
 * narrow themselves further (sandbox.h).
 */
#ifndef NODEPROXY_SECCOMP_PROFILE_H
#define NODEPROXY_SECCOMP_PROFILE_H
#include "shared/base/text.h"

int seccomp_profile_print(struct text_heap *out); /* -ENOMEM */
/* argv[0] is the command's own name. Exit status. */
int seccomp_profile_command(int argc, char **argv);
#endif
