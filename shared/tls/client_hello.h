/*
 * The name of the server that a client of TLS asks for: server_name (RFC 6066, section 3) of its
 * ClientHello (RFC 8446, section 4.1.2; RFC 5246), as it stands in its first bytes. Looks only:
 * nothing is changed, kept or decrypted. Strict: a hello that is not well-formed in all its lengths
 * has no name. Pure.
 */
#ifndef SHARED_TLS_CLIENT_HELLO_H
#define SHARED_TLS_CLIENT_HELLO_H
#include <stddef.h>
#include <stdint.h>

enum {
    CLIENT_HELLO_BYTES_MAX = 16 * 1024, /* with the headers of its records; longer ones have no name */
    CLIENT_HELLO_NAME_MAX = 253
};
enum client_hello {
    CLIENT_HELLO_MORE,   /* *ret_want bytes, more than there are, can tell more */
    CLIENT_HELLO_NAMED,  /* ret_name: in lower case */
    CLIENT_HELLO_UNNAMED /* it is none, or it names nobody */
};
enum client_hello client_hello_read(const uint8_t *bytes, size_t len,
                                    char ret_name[static CLIENT_HELLO_NAME_MAX + 1],
                                    size_t *ret_want);
#endif
