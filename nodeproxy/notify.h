/*
 * Tells whoever started us that what they wait for is there, as systemd's Type=notify wants it
 * (sd_notify(3)): one datagram to the Unix socket that $NOTIFY_SOCKET names. One thread; nothing is
 * read from there.
 */
#ifndef NODEPROXY_NOTIFY_H
#define NODEPROXY_NOTIFY_H

/* A connected descriptor; takes the variable out of the environment. -ENODATA: nobody wants to know.
 * -errno otherwise: it names no socket that is there. */
int notify_open(void);
int notify_ready(int fd); /* -errno */
#endif
