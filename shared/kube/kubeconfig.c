/*
 * The file that kubectl reads (client.authentication in its oldest form): clusters, users and contexts by name.
 */
#include "shared/kube/kube_secret.h"
#include "shared/yaml/yaml.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

struct reading {
    const char *path, *context;
    bool allow_insecure;
    const struct json *root;
    struct kube_config *config;
    char *why;
};

static int say(const struct reading *r, int error, const char *what, const char *more)
{
    snprintf(r->why, KUBE_WHY_MAX, "%s: %s%s", r->path, what, more);
    return error;
}

static struct text member(const struct json *of, const char *name)
{
    return json_text(json_member(of, text_of(name)));
}

/* The entry NAME of the list LIST: {name: NAME, ENTRY: {...}}. */
static const struct json *named(const struct reading *r, const char *list, const char *entry,
                                struct text name)
{
    json_for_each (item, json_member(r->root, text_of(list)))
        if (text_equal(member(item, "name"), name))
            return json_member(item, text_of(entry));
    return NULL;
}

/* A relative path is meant from the folder of the kubeconfig. */
static char *absolute(const struct reading *r, struct text file)
{
    const char *slash = strrchr(r->path, '/');
    if (file.data[0] == '/' || !slash)
        return text_dup(file);
    size_t folder = (size_t)(slash - r->path) + 1;
    char *path = malloc(folder + file.len + 1);
    if (path) {
        memcpy(path, r->path, folder);
        memcpy(path + folder, file.data, file.len + 1);
    }
    return path;
}

/* NAME-data holds it in base64, NAME is a file. Data counts, as with kubectl. */
static int read_pem(const struct reading *r, const struct json *of, const char *name,
                    struct kube_secret *ret)
{
    char data_name[64];
    snprintf(data_name, sizeof data_name, "%s-data", name);
    struct text data = member(of, data_name), file = member(of, name);
    if (data.len > 0) {
        int err = kube_secret_set_base64(ret, data);
        return err == -EINVAL ? say(r, err, data_name, " is not in base64") : err;
    }
    if (file.len > 0) {
        ret->file = absolute(r, file);
        return ret->file ? 0 : -ENOMEM;
    }
    return 0;
}

static int read_cluster(const struct reading *r, const struct json *cluster)
{
    struct kube_config *c = r->config;
    struct text server = member(cluster, "server"), name = member(cluster, "tls-server-name");
    struct json_error e = {0};
    if (!text_starts_with(server, TEXT("https://")) || server.len == 8)
        return say(r, -EINVAL, "the cluster's server must begin with https://", "");
    if (member(cluster, "proxy-url").len > 0)
        return say(r, -ENOTSUP, "proxy-url is not supported", "");
    while (server.data[server.len - 1] == '/')
        server.len--;
    if (json_opt_bool(cluster, "insecure-skip-tls-verify", &c->insecure, &e) < 0)
        return say(r, -EINVAL, e.text, "");
    if (c->insecure && !r->allow_insecure)
        return say(r, -EINVAL, "insecure-skip-tls-verify would let anybody be the API server; ",
                   "give the certificate-authority, or say --kubeconfig-insecure");
    c->server = text_dup(server);
    c->server_name = name.len ? text_dup(name) : NULL;
    if (!c->server || (name.len && !c->server_name))
        return -ENOMEM;
    return read_pem(r, cluster, "certificate-authority", &c->authorities);
}

static int read_user(const struct reading *r, const struct json *user)
{
    static const char *const refused[] = {"exec", "auth-provider", "username",
                                          "as",   "as-groups",     "as-uid"};
    struct kube_config *c = r->config;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        if (json_member(user, text_of(refused[i])))
            return say(r, -ENOTSUP, refused[i],
                       " is not supported: give the user a token, a tokenFile or a client "
                       "certificate");
    struct text token = member(user, "token"), file = member(user, "tokenFile");
    int err = read_pem(r, user, "client-certificate", &c->certificate);
    if (err == 0)
        err = read_pem(r, user, "client-key", &c->key);
    if (err == 0 && file.len > 0) { /* it counts before the token, as with kubectl */
        c->token.file = absolute(r, file);
        err = c->token.file ? 0 : -ENOMEM;
    } else if (err == 0 && token.len > 0)
        err = kube_secret_set(&c->token, token);
    return err;
}

static int read_root(const struct reading *r)
{
    struct text context_name =
        r->context && r->context[0] ? text_of(r->context) : member(r->root, "current-context");
    if (context_name.len == 0)
        return say(r, -EINVAL, "it has no current-context; say --context NAME", "");
    const struct json *context = named(r, "contexts", "context", context_name);
    if (!context)
        return say(r, -EINVAL, "it has no context ", context_name.data);
    const struct json *cluster = named(r, "clusters", "cluster", member(context, "cluster"));
    const struct json *user = named(r, "users", "user", member(context, "user"));
    if (!cluster)
        return say(r, -EINVAL, "the context names a cluster that is not there: ",
                   member(context, "cluster").len ? member(context, "cluster").data : "(none)");
    if (!user)
        return say(r, -EINVAL, "the context names a user that is not there: ",
                   member(context, "user").len ? member(context, "user").data : "(none)");
    int err = read_cluster(r, cluster);
    if (err == 0)
        err = read_user(r, user);
    if (err == 0)
        err = kube_config_refresh(r->config, r->why);
    if (err == 0 && !r->config->certificate.data != !r->config->key.data)
        err = say(r, -EINVAL, "client-certificate and client-key go together", "");
    return err;
}

static int read_document(struct reading *r, struct text content)
{
    struct yaml_documents documents = {0};
    int err = yaml_parse(content, NULL, &documents);
    if (err < 0)
        return say(r, err, strerror(-err), "");
    if (documents.n != 1)
        err = say(r, -EINVAL, "it must be one document", "");
    else if (!documents.items[0].root)
        err = say(r, -EINVAL, documents.items[0].error.text, "");
    else {
        r->root = documents.items[0].root;
        err = read_root(r);
        if (err == -ENOMEM)
            say(r, err, "out of memory", "");
    }
    yaml_documents_done(&documents);
    return err;
}

int kube_config_from_file(const char *path, const char *context, bool allow_insecure,
                          struct kube_config **ret, char why[static KUBE_WHY_MAX])
{
    struct kube_secret file = {.file = text_dup(text_of(path))};
    struct reading r = {path, context, allow_insecure, NULL, calloc(1, sizeof *r.config), why};
    int err = file.file && r.config ? 0 : -ENOMEM;
    if (err == 0)
        err = kube_secret_read(&file, why);
    else
        say(&r, err, "out of memory", "");
    if (err == 0)
        err = read_document(&r, (struct text){file.data, file.len});
    kube_secret_done(&file);
    if (err < 0)
        kube_config_free(r.config);
    else
        *ret = r.config;
    return err;
}
