/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Open addressing with linear probing, at most half full; removal closes the hole by moving later entries back, so there
 * are no tombstones. Records live in chunks of their own and never move.
 */
#include "trace/thread-table.h"

#include <string.h>

#define SLOTS_MIN   64
#define CHUNK_BYTES (256 * 1024)
#define BYTES_MAX   (4ULL << 30) /* a trace can name as many threads as it likes: this much for their records */

struct slot {
	uint32_t tid;
	void *record; /* NULL: free */
};

struct chunk {
	struct chunk *next;
	_Alignas(16) char records[];
};

struct thread_table {
	struct slot last; /* the one looked up last */
	struct slot *slots;
	uint32_t mask;
	uint32_t seed; /* so that a trace cannot name threads that all fall into one place */
	size_t n;
	size_t record_size, per_chunk, used; /* used: records handed out of the first chunk */
	size_t n_chunks;
	struct chunk *chunks;
	void *free; /* list through the records' first word */
};

static uint32_t slot_home(const struct thread_table *table, uint32_t tid)
{
	uint32_t hash = (tid ^ table->seed) * 0x9e3779b1U;

	return ((hash ^ hash >> 15) * 0x85ebca6bU >> 2) & table->mask;
}

struct thread_table *thread_table_new(size_t record_size)
{
	_cleanup_(thread_table_freep) struct thread_table *table = calloc(1, sizeof(*table));

	if (!table)
		return NULL;
	table->record_size = (MAX(record_size, sizeof(void *)) + 15) & ~(size_t)15;
	table->per_chunk = MAX(CHUNK_BYTES / table->record_size, 1U);
	table->mask = SLOTS_MIN - 1;
	table->seed = (uint32_t)((uintptr_t)table >> 4);
	table->slots = calloc(SLOTS_MIN, sizeof(*table->slots));
	return table->slots ? TAKE_PTR(table) : NULL;
}

struct thread_table *thread_table_free(struct thread_table *table)
{
	if (!table)
		return NULL;
	while (table->chunks) {
		struct chunk *next = table->chunks->next;

		free(table->chunks);
		table->chunks = next;
	}
	free(table->slots);
	free(table);
	return NULL;
}

/* The slot that holds tid, or the free one where it would go. */
static struct slot *slot_find(const struct thread_table *table, uint32_t tid)
{
	uint32_t i = slot_home(table, tid);

	while (table->slots[i].record && table->slots[i].tid != tid)
		i = (i + 1) & table->mask;
	return &table->slots[i];
}

void *thread_table_find(struct thread_table *table, uint32_t tid)
{
	struct slot *slot;

	if (table->last.tid == tid && table->last.record)
		return table->last.record;
	slot = slot_find(table, tid);
	if (slot->record)
		table->last = *slot;
	return slot->record;
}

static bool table_grow(struct thread_table *table)
{
	struct slot *old = table->slots;
	uint32_t n = table->mask + 1;
	struct slot *slots;

	if (n >= 1U << 30)
		return false;
	slots = calloc((size_t)n * 2, sizeof(*slots));
	if (!slots)
		return false;
	table->slots = slots;
	table->mask = n * 2 - 1;
	for (uint32_t i = 0; i < n; i++)
		if (old[i].record)
			*slot_find(table, old[i].tid) = old[i];
	free(old);
	return true;
}

static void *record_new(struct thread_table *table)
{
	void *record = table->free;

	if (record) {
		memcpy(&table->free, record, sizeof(table->free));
	} else {
		if (!table->chunks || table->used == table->per_chunk) {
			size_t bytes = table->per_chunk * table->record_size;
			struct chunk *chunk;

			if (table->n_chunks >= BYTES_MAX / bytes)
				return NULL;
			chunk = malloc(sizeof(*chunk) + bytes);
			if (!chunk)
				return NULL;
			chunk->next = table->chunks;
			table->chunks = chunk;
			table->n_chunks++;
			table->used = 0;
		}
		record = table->chunks->records + table->used++ * table->record_size;
	}
	return memset(record, 0, table->record_size);
}

void *thread_table_get(struct thread_table *table, uint32_t tid, bool *ret_is_new)
{
	void *record = thread_table_find(table, tid);
	struct slot *slot;

	if (ret_is_new)
		*ret_is_new = !record;
	if (record)
		return record;
	if (table->n >= (table->mask + 1) / 2 && !table_grow(table))
		return NULL;
	record = record_new(table);
	if (!record)
		return NULL;
	slot = slot_find(table, tid);
	slot->tid = tid;
	slot->record = record;
	table->last = *slot;
	table->n++;
	return record;
}

/* Empties a slot and moves back the entries behind it that would no longer be found. */
static void slot_remove(struct thread_table *table, struct slot *slot)
{
	uint32_t hole = (uint32_t)(slot - table->slots), i = hole;

	for (;;) {
		i = (i + 1) & table->mask;
		if (!table->slots[i].record)
			break;
		if (((i - slot_home(table, table->slots[i].tid)) & table->mask) >= ((i - hole) & table->mask)) {
			table->slots[hole] = table->slots[i];
			hole = i;
		}
	}
	table->slots[hole].record = NULL;
	table->n--;
}

void thread_table_remove(struct thread_table *table, uint32_t tid)
{
	struct slot *slot = slot_find(table, tid);
	void *record = slot->record;

	if (!record)
		return;
	if (table->last.tid == tid)
		table->last.record = NULL;
	slot_remove(table, slot);
	memcpy(record, &table->free, sizeof(table->free));
	table->free = record;
}

bool thread_table_rename(struct thread_table *table, uint32_t from, uint32_t to)
{
	struct slot *slot = slot_find(table, from);
	void *record = slot->record;

	if (!record)
		return false;
	if (from == to)
		return true;
	thread_table_remove(table, to);
	slot_remove(table, slot_find(table, from));
	slot = slot_find(table, to);
	slot->tid = to;
	slot->record = record;
	table->last = *slot;
	table->n++;
	return true;
}

size_t thread_table_count(const struct thread_table *table)
{
	return table->n;
}

static int compare_tids(const void *a, const void *b)
{
	uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;

	return left < right ? -1 : left > right;
}

void thread_table_each(struct thread_table *table, void (*fn)(void *data, uint32_t tid, void *record), void *data)
{
	/* A list of its own, because fn may remove. If there is no memory for it: the next higher id, again and again. */
	_cleanup_free_ uint32_t *tids = malloc(MAX(table->n, 1U) * sizeof(*tids));
	size_t n = 0;

	for (uint32_t i = 0; tids && i <= table->mask; i++)
		if (table->slots[i].record)
			tids[n++] = table->slots[i].tid;
	if (tids)
		qsort(tids, n, sizeof(*tids), compare_tids);
	for (size_t i = 0; i < n; i++)
		fn(data, tids[i], slot_find(table, tids[i])->record);
	for (uint64_t from = 0, next; !tids; from = next + 1) {
		next = UINT64_MAX;
		for (uint32_t i = 0; i <= table->mask; i++)
			if (table->slots[i].record && table->slots[i].tid >= from)
				next = MIN(next, (uint64_t)table->slots[i].tid);
		if (next == UINT64_MAX)
			break;
		fn(data, (uint32_t)next, slot_find(table, (uint32_t)next)->record);
	}
}
