/*
 * What each of the node proxy's processes gives up, once, at its start, before
 * it has a thread or a key: capabilities, new privileges, system calls
 * (seccomp), core dumps. Nothing is got back. Each function is called by the
 * process itself, in the order supervisor, then (in its child) one of the
 * others. -errno, and why says what is missing.
 */
#ifndef NODEPROXY_SANDBOX_H
#define NODEPROXY_SANDBOX_H

enum { SANDBOX_WHY_MAX = 256 };

/* Keeps what the warden needs, out of the bounding set too; its children begin
 * with that. */
int sandbox_supervisor(char why[static SANDBOX_WHY_MAX]);
/* Keeps CAP_NET_ADMIN and CAP_SYS_ADMIN (namespaces, rules, marks), and
 * CAP_SYS_PTRACE where it is there (without it a namespace can't be opened as
 * /proc/PID/ns/net). */
int sandbox_warden(char why[static SANDBOX_WHY_MAX]);
/* Keeps no capability. What no proxy needs kills it (execve, ptrace, mount,
 * setns, sockets of other kinds...); whatever else is not on the list fails
 * with EPERM. */
int sandbox_data(char why[static SANDBOX_WHY_MAX]);
#endif
