/*
 * SQLite reads the keys through its page cache, whose memory it would give back as it is. From
 * here on it wipes what it frees. For the whole process; call it before SQLite is used at all.
 */
#ifndef CA_STORE_MEMORY_H
#define CA_STORE_MEMORY_H

/* Again is fine. -EIO: SQLite was used before. Any thread, but one at a time. */
int store_memory_wipe(void);
#endif
