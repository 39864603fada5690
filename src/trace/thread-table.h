/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Something per thread: a hash table from thread id to a zeroed record of the caller's size. The last thread looked up
 * is remembered, so that runs of calls by one thread cost one compare. Records keep their address until removed.
 */
#ifndef IMSAFE_TRACE_THREAD_TABLE_H
#define IMSAFE_TRACE_THREAD_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

struct thread_table;

struct thread_table *thread_table_new(size_t record_size); /* NULL without memory */
struct thread_table *thread_table_free(struct thread_table *table);
DEFINE_CLEANUP(struct thread_table *, thread_table_free)

void *thread_table_find(struct thread_table *table, uint32_t tid);                  /* NULL if there is none */
void *thread_table_get(struct thread_table *table, uint32_t tid, bool *ret_is_new); /* makes it; NULL without memory */
void thread_table_remove(struct thread_table *table, uint32_t tid);                 /* frees the record for reuse */
bool thread_table_rename(struct thread_table *table, uint32_t from, uint32_t to);   /* exec from a thread */
size_t thread_table_count(const struct thread_table *table);

/* Calls fn for every thread, in order of thread id. fn must not add; it may remove the thread it is given. */
void thread_table_each(struct thread_table *table, void (*fn)(void *data, uint32_t tid, void *record), void *data);

#endif
