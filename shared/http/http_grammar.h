/*
 * What single bytes may stand where in a message of HTTP (RFC 9110 section 5, RFC 3986): one table,
 * asked by everything that reads, changes or writes a head. Pure.
 */
#ifndef SHARED_HTTP_HTTP_GRAMMAR_H
#define SHARED_HTTP_HTTP_GRAMMAR_H
#include "shared/base/text.h"

bool http_is_token(struct text t); /* a method, a field's name; not empty */
/* No control character but tab, and no blank at either end. Bytes from 0x80 on are fine. */
bool http_is_field_value(struct text t);
/* How many of the first bytes may stand in a field's value, blanks included. */
size_t http_value_span(const char *data, size_t len);
/* A host with or without a port, as Host and :authority have it (RFC 3986 section 3.2 without user
 * information): a name, an IPv4 address or an IPv6 one in brackets. */
bool http_is_authority(struct text t);
/* Such a one in two: the port's digits are empty where there is none. */
void http_authority_split(struct text authority, struct text *ret_host, struct text *ret_port);
/* "/..." or "*": printable ASCII without blank and '#'. */
bool http_is_path(struct text t);
/* The next element of a list "a, b" (RFC 9110 section 5.6.1), trimmed, empty ones left out, off the
 * front of *list; false: there is none any more. No quoted strings: for lists of tokens. */
bool http_list_next(struct text *list, struct text *ret_element);
bool http_list_has(struct text list, struct text token); /* whatever its case */
#endif
