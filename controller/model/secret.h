/*
 * A Secret of Kubernetes as far as a server's certificate is in it (type kubernetes.io/tls): only those
 * that somebody's Gateway refers to are read. A part of a struct object, which owns the key: it is in
 * secret memory, the rest in the object's arena.
 */
#ifndef CONTROLLER_MODEL_SECRET_H
#define CONTROLLER_MODEL_SECRET_H

struct web_key;
struct tls_secret {
    const char *chain;   /* PEM, the server's own first; valid if there is no flaw */
    struct web_key *key; /* likewise; NULL else */
    const char *flaw;    /* why it is no server's certificate; NULL: it is one */
};
#endif
