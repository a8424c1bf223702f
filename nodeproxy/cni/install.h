/*
 * Puts the plugin onto a node and keeps it there: its program into the folder of plugins, its entry
 * into the configuration that the container runtime uses, which is the first good one by name. What
 * others change is looked at at once and repaired; a configuration that is not there yet is waited
 * for. Each file is written beside and renamed, so that there is always a whole one. One thread.
 */
#ifndef NODEPROXY_CNI_INSTALL_H
#define NODEPROXY_CNI_INSTALL_H
#include "nodeproxy/cni/conflist.h"

struct install_options {
    const char *bin_dir, *conf_dir;
    const char *program; /* what is copied: this one */
    struct conflist_plugin plugin;
    bool remove_at_end;
    const char *run_dir; /* the node proxy's, which is removed with the plugin; NULL: it stays */
};
/* 0: all is as it should be, now. changed: something was written. -ENOENT: no configuration that a
 * plugin can be chained into is there (yet); others: why names the file. */
int install_once(const struct install_options *o, bool *ret_changed, char why[static WHY_MAX]);
/* Looks only. -ENOENT and others as above; -ESTALE: something is not as it should be. */
int install_check(const struct install_options *o, char why[static WHY_MAX]);
/* Takes it out of every configuration, then removes the program. Fine if there is nothing. */
int install_remove(const struct install_options *o, char why[static WHY_MAX]);
/* install_once(), again whenever something changes, until SIGTERM or SIGINT. Told to remove at its
 * end, it then waits for the node proxy's end before it takes its run folder away: until the second
 * signal, or END_WAIT_MS. -errno: it can't watch. */
int install_run(const struct install_options *o);
#endif
