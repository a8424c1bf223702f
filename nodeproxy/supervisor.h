/*
 * The process that was started: makes the two that do the work (the warden,
 * which has privileges and sees no traffic; the data process, the other way
 * round) and starts each again when it dies. It parses nothing and has one
 * thread. SIGTERM and SIGINT go on to the data process (SIGHUP as SIGTERM);
 * when that ends in order, all ends. If the supervisor is killed, both die with
 * it.
 */
#ifndef NODEPROXY_SUPERVISOR_H
#define NODEPROXY_SUPERVISOR_H
#include <stdbool.h>

struct supervisor_options {
    /* Each runs in a process of its own, with its end of the channel
   * (SOCK_SEQPACKET), and returns the exit code. The channel outlives them. */
    int (*warden)(int channel, void *arg);
    int (*data)(int channel, void *arg);
    void *arg;
    /* When the data process has ended by itself after LEAVING, because another node proxy has taken
     * over, wait for a signal before ending: where an end would be taken for a failure (a container
     * that is always started again), the next one would take the node back. */
    bool stays_when_replaced;
};
/* The exit code: the data process's 0, or 1 and 2 of either before the data
 * process was ever READY (a mistake in the settings does not go away by trying
 * again). Others are crashes: the first restart comes at once, those of a
 * process that lives for less than a second later and later, up to ten seconds.
 */
int supervisor_run(const struct supervisor_options *o);

enum supervisor_stage {
    SUPERVISOR_READY = 1, /* all is open */
    SUPERVISOR_CAPTURED, /* and a machine's rules are in force: whoever started us and waits for that
                           is told, once (notify.h) */
    SUPERVISOR_LEAVING,  /* it drains, or another node proxy has taken over: no
                           restart any more */
};
/* From the data process; a stage does not come back. Does nothing in a process that has no supervisor. */
void supervisor_tell(enum supervisor_stage stage);
#endif
