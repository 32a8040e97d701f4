import { defineConfig } from "vitest/config";

export default defineConfig({
  esbuild: { jsx: "automatic", jsxImportSource: "preact" },
  test: {
    environment: "jsdom",
    include: ["sdk/test/**/*.test.ts", "app/test/**/*.test.{ts,tsx}"],
    restoreMocks: true,
  },
});
