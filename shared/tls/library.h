/*
 * wolfSSL, made ready once in a process, and its random numbers. Any thread. Inside shared/tls
 * only.
 */
#ifndef SHARED_TLS_LIBRARY_H
#define SHARED_TLS_LIBRARY_H

/* Starts the library the first time; 0 or -EIO: it refused, and everything in shared/tls then
 * does. */
int library_ready(void);
#endif
