/*
 * The words behind a status code. They mean nothing (RFC 9112 section 4), and what came from a peer
 * is not passed on.
 */
#ifndef SHARED_HTTP1_HTTP1_STATUS_H
#define SHARED_HTTP1_HTTP1_STATUS_H

const char *http1_reason(unsigned status); /* "" for one that has no name */
#endif
