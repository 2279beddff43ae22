/* Registers of the bfimna accelerator. Made by scripts/register_map.py; see registers.md. */
#ifndef BFIMNA_REGISTERS_H
#define BFIMNA_REGISTERS_H

/* always 0x42464d41 (read) */
#define BFIMNA_IDENTITY 0x0u

/* versions of the hardware (read) */
#define BFIMNA_VERSION 0x4u
#define BFIMNA_VERSION_MAP_SHIFT 0u
#define BFIMNA_VERSION_MAP_MASK 0xffffu
#define BFIMNA_VERSION_ARCHITECTURE_SHIFT 16u
#define BFIMNA_VERSION_ARCHITECTURE_MASK 0xffff0000u

/* hash of the config, lower half (read) */
#define BFIMNA_CONFIG_LOW 0x8u

/* hash of the config, upper half (read) */
#define BFIMNA_CONFIG_HIGH 0xcu

/* sizes of the mesh and of a cluster (read) */
#define BFIMNA_SIZES 0x10u
#define BFIMNA_SIZES_CLUSTERS_SHIFT 0u
#define BFIMNA_SIZES_CLUSTERS_MASK 0xffu
#define BFIMNA_SIZES_WIDTH_SHIFT 8u
#define BFIMNA_SIZES_WIDTH_MASK 0x3f00u
#define BFIMNA_SIZES_HEIGHT_SHIFT 14u
#define BFIMNA_SIZES_HEIGHT_MASK 0xfc000u
#define BFIMNA_SIZES_CAPS_SHIFT 20u
#define BFIMNA_SIZES_CAPS_MASK 0x3f00000u
#define BFIMNA_SIZES_MAPS_SHIFT 26u
#define BFIMNA_SIZES_MAPS_MASK 0xfc000000u

/* does what the bits that are written as 1 say (write) */
#define BFIMNA_CONTROL 0x20u
#define BFIMNA_CONTROL_START_SHIFT 0u
#define BFIMNA_CONTROL_START_MASK 0x1u
#define BFIMNA_CONTROL_STOP_SHIFT 1u
#define BFIMNA_CONTROL_STOP_MASK 0x2u
#define BFIMNA_CONTROL_SNAPSHOT_SHIFT 2u
#define BFIMNA_CONTROL_SNAPSHOT_MASK 0x4u

/* how the run stands (read) */
#define BFIMNA_STATUS 0x24u
#define BFIMNA_STATUS_RUNNING_SHIFT 0u
#define BFIMNA_STATUS_RUNNING_MASK 0x1u
#define BFIMNA_STATUS_DONE_SHIFT 1u
#define BFIMNA_STATUS_DONE_MASK 0x2u
#define BFIMNA_STATUS_ERROR_SHIFT 2u
#define BFIMNA_STATUS_ERROR_MASK 0x4u
#define BFIMNA_STATUS_IDLE_SHIFT 3u
#define BFIMNA_STATUS_IDLE_MASK 0x8u

/* the first error, kept until a stop (read) */
#define BFIMNA_ERROR 0x28u
#define BFIMNA_ERROR_CODE_SHIFT 0u
#define BFIMNA_ERROR_CODE_MASK 0xffu
#define BFIMNA_ERROR_CLUSTER_SHIFT 8u
#define BFIMNA_ERROR_CLUSTER_MASK 0xff00u
#define BFIMNA_ERROR_UNIT_SHIFT 16u
#define BFIMNA_ERROR_UNIT_MASK 0xff0000u

/* detail of the first error (read) */
#define BFIMNA_ERROR_DETAIL 0x2cu

/* cycles of a run without progress after which it is an error; 0 for never (read, write) */
#define BFIMNA_WATCHDOG 0x30u

/* words to the host after each of which TLAST is set; 0 for never (read, write) */
#define BFIMNA_PACKET_WORDS 0x34u

/* cycles of the run so far, and of all of it once it is done; lower half (read) */
#define BFIMNA_CYCLES_LOW 0x40u

/* upper half (read) */
#define BFIMNA_CYCLES_HIGH 0x44u

/* phases of the run that have begun (read) */
#define BFIMNA_PHASES 0x48u

/* phase of PHASE_CYCLE, modulo 1024 (read, write) */
#define BFIMNA_PHASE_SELECT 0x4cu
#define BFIMNA_PHASE_SELECT_PHASE_SHIFT 0u
#define BFIMNA_PHASE_SELECT_PHASE_MASK 0x3ffu

/* cycle of the run, from 0, in which the phase began; lower half (read) */
#define BFIMNA_PHASE_CYCLE_LOW 0x50u

/* upper half (read) */
#define BFIMNA_PHASE_CYCLE_HIGH 0x54u

/* words of the command stream that were taken in this run, modulo 2^32 (read) */
#define BFIMNA_WORDS_IN 0x60u

/* words that the host took in this run, modulo 2^32 (read) */
#define BFIMNA_WORDS_OUT 0x64u

/* cycles of the run in which the next word of the command stream was missing (read) */
#define BFIMNA_WAITING_IN 0x68u

/* cycles of the run in which the host did not take a word (read) */
#define BFIMNA_WAITING_OUT 0x6cu

/* cluster of COUNTER (read, write) */
#define BFIMNA_COUNTER_CLUSTER 0x80u
#define BFIMNA_COUNTER_CLUSTER_CLUSTER_SHIFT 0u
#define BFIMNA_COUNTER_CLUSTER_CLUSTER_MASK 0xffu

/* which counter of the cluster (read, write) */
#define BFIMNA_COUNTER_SELECT 0x84u
#define BFIMNA_COUNTER_SELECT_COUNTER_SHIFT 0u
#define BFIMNA_COUNTER_SELECT_COUNTER_MASK 0xffffu

/* the counter at the last snapshot, lower half (read) */
#define BFIMNA_COUNTER_LOW 0x88u

/* upper half (read) */
#define BFIMNA_COUNTER_HIGH 0x8cu

/* link of LINK_FLITS and LINK_STALLS (read, write) */
#define BFIMNA_LINK_SELECT 0x90u
#define BFIMNA_LINK_SELECT_ROUTER_SHIFT 0u
#define BFIMNA_LINK_SELECT_ROUTER_MASK 0xffu
#define BFIMNA_LINK_SELECT_PORT_SHIFT 8u
#define BFIMNA_LINK_SELECT_PORT_MASK 0x700u

/* flits that left by the link in this run, modulo 2^32 (read) */
#define BFIMNA_LINK_FLITS 0x94u

/* cycles of the run in which a flit was not taken there, modulo 2^32 (read) */
#define BFIMNA_LINK_STALLS 0x98u

/* constants */
#define BFIMNA_IDENTITY_VALUE 0x42464d41u
#define BFIMNA_MAP_BYTES 0x1000u
#define BFIMNA_MAP_VERSION 0x1u
#define BFIMNA_LOG_ENTRIES 0x400u
#define BFIMNA_STREAM_IN 0xf0u
#define BFIMNA_STREAM_OUT 0xf1u

/* codes of ERROR */
#define BFIMNA_ERROR_CODE_NONE 0x0u
#define BFIMNA_ERROR_CODE_OPCODE 0x1u
#define BFIMNA_ERROR_CODE_DESTINATION 0x2u
#define BFIMNA_ERROR_CODE_UNIT 0x3u
#define BFIMNA_ERROR_CODE_ADDRESS 0x4u
#define BFIMNA_ERROR_CODE_BARRIER 0x5u
#define BFIMNA_ERROR_CODE_TILE 0x6u
#define BFIMNA_ERROR_CODE_DESCRIPTOR 0x7u
#define BFIMNA_ERROR_CODE_WATCHDOG 0x8u

/* detail of a watchdog's error */
#define BFIMNA_WAITS_FOR_NOTHING 0x0u
#define BFIMNA_WAITS_FOR_PLANES 0x2u
#define BFIMNA_WAITS_FOR_ROOM 0x3u
#define BFIMNA_WAITS_FOR_PROGRAM 0x4u
#define BFIMNA_WAITS_FOR_TILES 0x5u
#define BFIMNA_WAITS_FOR_WORDS 0x6u
#define BFIMNA_WAITS_FOR_MESH 0x7u

/* opcodes of the command stream */
#define BFIMNA_COMMAND_WRITE 0x1u
#define BFIMNA_COMMAND_RUN 0x2u
#define BFIMNA_COMMAND_WAIT 0x3u
#define BFIMNA_COMMAND_END 0x4u

/* units of a cluster */
#define BFIMNA_UNIT_GATHER_MEMORY 0x0u
#define BFIMNA_UNIT_GATHER 0x1u
#define BFIMNA_UNIT_SENDER 0x2u
#define BFIMNA_UNIT_TILE 0x40u
#define BFIMNA_UNIT_PROGRAM 0x80u
#define BFIMNA_UNIT_TAPS 0xc0u

/* registers of a tile's slot */
#define BFIMNA_TILE_TAPS_START 0x0u
#define BFIMNA_TILE_TAPS_WORDS 0x1u
#define BFIMNA_TILE_PROGRAM_START 0x2u
#define BFIMNA_TILE_PROGRAM_WORDS 0x3u

/* registers of a gather unit */
#define BFIMNA_GATHER_BASE 0x0u
#define BFIMNA_GATHER_WIDTH 0x1u
#define BFIMNA_GATHER_HEIGHT 0x2u
#define BFIMNA_GATHER_ROWS_LOG2 0x3u
#define BFIMNA_GATHER_PLANES 0x4u
#define BFIMNA_GATHER_CHANNEL_GROUPS 0x5u
#define BFIMNA_GATHER_KERNEL_HEIGHT 0x6u
#define BFIMNA_GATHER_KERNEL_WIDTH 0x7u
#define BFIMNA_GATHER_STRIDE_Y 0x8u
#define BFIMNA_GATHER_STRIDE_X 0x9u
#define BFIMNA_GATHER_PAD_TOP 0xau
#define BFIMNA_GATHER_PAD_LEFT 0xbu
#define BFIMNA_GATHER_PAD_VALUE 0xcu
#define BFIMNA_GATHER_OUT_WIDTH 0xdu
#define BFIMNA_GATHER_OUT_ROWS 0xeu
#define BFIMNA_GATHER_FIRST_ROW 0xfu
#define BFIMNA_GATHER_SETS 0x10u
#define BFIMNA_GATHER_ROUNDS 0x11u
#define BFIMNA_GATHER_FIRST_GROUP 0x12u
#define BFIMNA_GATHER_GROUP_STEP 0x13u
#define BFIMNA_GATHER_GROUPS 0x14u
#define BFIMNA_GATHER_TILES 0x15u
#define BFIMNA_GATHER_RECEIVERS 0x16u

/* registers of a sender */
#define BFIMNA_SENDER_SOURCE 0x0u
#define BFIMNA_SENDER_DESTINATIONS_LOW 0x1u
#define BFIMNA_SENDER_DESTINATIONS_HIGH 0x2u
#define BFIMNA_SENDER_BASE 0x3u
#define BFIMNA_SENDER_STRIDE0 0x4u
#define BFIMNA_SENDER_COUNT0 0x5u
#define BFIMNA_SENDER_STRIDE1 0x6u
#define BFIMNA_SENDER_COUNT1 0x7u
#define BFIMNA_SENDER_STRIDE2 0x8u
#define BFIMNA_SENDER_COUNT2 0x9u

#endif /* BFIMNA_REGISTERS_H */
