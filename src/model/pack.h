/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Counts and sessions as they stand in a profile: doc/profile-format.md has the bytes. */
#ifndef IMSAFE_MODEL_PACK_H
#define IMSAFE_MODEL_PACK_H

#include <stddef.h>
#include <stdint.h>

#include "model/counts.h"
#include "model/session.h"

/* *ret_data is the caller's to free. -ENOMEM, -EFBIG. */
int pack_counts(const struct counts *counts, void **ret_data, size_t *ret_size);
int pack_session(const struct session *session, void **ret_data, size_t *ret_size);

/*
 * The other way, for bytes from outside. counts comes in with its length and totals as they stand beside the bytes, and
 * is filled up and checked against them; counts_done() frees it. -EBADMSG, -ENOMEM.
 */
int unpack_counts(const void *data, size_t size, struct counts *counts);
int unpack_session(const void *data, size_t size, uint16_t **ret_symbols, size_t *ret_n);

#endif
