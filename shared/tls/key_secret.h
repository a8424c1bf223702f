/*
 * The inside of a private key, for the files of shared/tls that generate and sign, and for nobody
 * else. The scalar is read in place; copies of it live only on the stack of one call and are wiped
 * there.
 */
#ifndef SHARED_TLS_KEY_SECRET_H
#define SHARED_TLS_KEY_SECRET_H
#include "shared/tls/key.h"
#include <stdatomic.h>

enum { KEY_SCALAR_BYTES = 32, KEY_POINT_BYTES = 65 };
struct key {
    atomic_uint refs;
    uint8_t *scalar;                /* KEY_SCALAR_BYTES in a slot of locked memory */
    uint8_t point[KEY_POINT_BYTES]; /* public: 04, x, y */
};

/* Slots of locked memory, from any thread. NULL: no memory. Freeing wipes. */
uint8_t *key_slot_new(void);
uint8_t *key_slot_free(uint8_t *slot); /* NULL is fine; returns NULL */
/* Wipes the stack below the caller's frame, where functions that have returned left their copies:
 * the library wipes its heap, not all of its stack. To be called after each use of a scalar. */
void key_wipe_stack(void);
#endif
