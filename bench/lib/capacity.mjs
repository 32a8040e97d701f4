// placeholder, replaced below
export const capacityBlocks = () => ({});
