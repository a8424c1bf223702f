/*
 * Who owns a run folder, and with it the pods of the node: whoever holds the lock on its file
 * owner.lock. The kernel lets go of it when a process dies. A take-over passes the descriptor on
 * (an open file description's lock, fcntl(2)), so that at no moment nobody owns the folder.
 */
#ifndef NODEPROXY_TAKEOVER_OWNER_LOCK_H
#define NODEPROXY_TAKEOVER_OWNER_LOCK_H

/* -EAGAIN: somebody else owns it; other -errno: the file can't be made. */
int owner_lock_take(const char *run_dir, int *ret_fd);
#endif
