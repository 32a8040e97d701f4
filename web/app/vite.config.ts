import { defineConfig } from "vite";

export default defineConfig({
  esbuild: { jsx: "automatic", jsxImportSource: "preact" },
  build: { outDir: "dist", target: "es2022", sourcemap: false, assetsInlineLimit: 4096 },
  server: {
    // For working on the app alone: a signald on its plain loopback port answers the API.
    proxy: {
      "/v1": { target: "http://127.0.0.1:8080", ws: true },
    },
  },
});
