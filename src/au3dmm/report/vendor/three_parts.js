// What of three.js the pages use; see README.md for how three.min.js is made of it.
export {
  BufferAttribute, BufferGeometry, Color, DirectionalLight, HemisphereLight, Mesh, MeshLambertMaterial,
  PerspectiveCamera, Scene, Vector3, WebGLRenderer,
} from "three";
