/*
 * How a struct kube_secret gets its content, and loses it: for kube_config.c and kubeconfig.c alone.
 */
#ifndef SHARED_KUBE_KUBE_SECRET_H
#define SHARED_KUBE_KUBE_SECRET_H
#include "shared/kube/kube_config.h"

int kube_secret_read(struct kube_secret *s,
                     char why[static KUBE_WHY_MAX]); /* from its file; 0 if it has none */
int kube_secret_set(struct kube_secret *s, struct text content);       /* -ENOMEM */
int kube_secret_set_base64(struct kube_secret *s, struct text base64); /* -EINVAL, -ENOMEM */
void kube_secret_done(struct kube_secret *s);
#endif
