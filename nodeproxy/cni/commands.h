/*
 * What weir-cni does for who installs it: `install` (until it is told to end), `uninstall`, `ready`.
 */
#ifndef NODEPROXY_CNI_COMMANDS_H
#define NODEPROXY_CNI_COMMANDS_H
#include <stdbool.h>

bool commands_has(const char *name);
/* argv[1] is one of them. The process's exit status: 0; 1: it did not work, or is not ready; 2: the
 * arguments are wrong. */
int commands_run(int argc, char **argv);
#endif
