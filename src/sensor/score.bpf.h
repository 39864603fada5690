/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The scoring step over an image in a map: an array of cells, one of several in an array of maps. */
#ifndef IMSAFE_SENSOR_SCORE_BPF_H
#define IMSAFE_SENSOR_SCORE_BPF_H

#include "core/image.h"

#define SCORE_INLINE static __always_inline
#define SCORE_OUTLINE static __noinline
#define SCORE_IMAGE void *

static __always_inline const struct cell *score_cell(void *image, __u32 index)
{
	return bpf_map_lookup_elem(image, &index);
}

#include "core/score.h"

/* An image's cells; each image has its own number of them. */
struct image_cells {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_INNER_MAP | BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(struct cell));
};

#endif
