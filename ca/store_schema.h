/*
 * The store's tables, in both dialects of SQL. The n-th text makes version n of version n - 1, and
 * is never changed once it was released. NUMBER, BYTES: types of 64 bits and of bytes; ID, LINE_ID:
 * of a key that counts by itself, LINE_ID never gives one twice; ROW_ID: a column `rowid` that
 * counts, where a table has none by itself; RULES: nothing in the table audit can be changed.
 */
#ifndef CA_STORE_SCHEMA_H
#define CA_STORE_SCHEMA_H

#define STORE_SCHEMAS(NUMBER, BYTES, ID, LINE_ID, ROW_ID, RULES)                                   \
    "CREATE TABLE authority (id " ID ", kind TEXT NOT NULL,"                                       \
    " certificate TEXT NOT NULL, key TEXT NOT NULL, made " NUMBER " NOT NULL);"                    \
    "CREATE TABLE token (digest " BYTES " NOT NULL PRIMARY KEY, node TEXT NOT NULL,"               \
    " expires " NUMBER " NOT NULL);"                                                               \
    "CREATE TABLE issued (serial TEXT NOT NULL PRIMARY KEY, identity TEXT NOT NULL,"               \
    " node TEXT NOT NULL, not_before " NUMBER " NOT NULL, not_after " NUMBER " NOT NULL,"          \
    " issued " NUMBER " NOT NULL" ROW_ID ");",                                                     \
                                                                                                   \
    "ALTER TABLE issued ADD COLUMN proof TEXT NOT NULL DEFAULT '';"                                \
    "CREATE INDEX issued_of ON issued (identity);"                                                 \
    "CREATE TABLE join_token (digest " BYTES " NOT NULL PRIMARY KEY, identity TEXT NOT NULL,"      \
    " source TEXT NOT NULL, made " NUMBER " NOT NULL, expires " NUMBER " NOT NULL);"               \
    "CREATE TABLE revocation (kind TEXT NOT NULL, value TEXT NOT NULL,"                            \
    " revoked " NUMBER " NOT NULL, reason TEXT NOT NULL, PRIMARY KEY (kind, value));"              \
    "CREATE TABLE audit (id " LINE_ID ", at " NUMBER " NOT NULL,"                                  \
    " outcome TEXT NOT NULL, asker TEXT NOT NULL, proof TEXT NOT NULL, identity TEXT NOT NULL,"    \
    " serial TEXT NOT NULL, reason TEXT NOT NULL);"                                                \
    "CREATE INDEX audit_of ON audit (serial);" RULES,                                              \
                                                                                                   \
    "CREATE INDEX issued_until ON issued (not_after, serial);"                                     \
    "CREATE TABLE forgotten (before " NUMBER " NOT NULL);"                                         \
    "INSERT INTO forgotten VALUES (0);",                                                           \
                                                                                                   \
    "ALTER TABLE authority ADD COLUMN state TEXT NOT NULL DEFAULT 'signs';"                        \
    "ALTER TABLE authority ADD COLUMN since " NUMBER " NOT NULL DEFAULT 0;"                        \
    "CREATE TABLE trust (version " NUMBER " NOT NULL);"                                            \
    "INSERT INTO trust VALUES (1);"                                                                \
    "CREATE INDEX issued_at ON issued (issued);",                                                  \
                                                                                                   \
    "CREATE TABLE key_holder (digest " BYTES " NOT NULL PRIMARY KEY, identity TEXT NOT NULL,"      \
    " last_end " NUMBER " NOT NULL);"                                                              \
    "CREATE INDEX key_holder_until ON key_holder (last_end);"

enum { STORE_SCHEMA_VERSION = 5 };
#endif
