void twin_map_start(void);
